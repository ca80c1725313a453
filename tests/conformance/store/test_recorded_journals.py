"""What earlier versions have journaled: it is loaded, and amounts to the same. One file for each release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.store.test_journal import Store, new
from tests.conformance.store.test_journal import store as store
from tests.support.recorded import JOURNALS, told
from twingraph.core.events import EVENTS
from twingraph.engine.views import view
from twingraph.store.base import Append, Row
from twingraph.store.blobs.local import LocalBlobs

FILES = sorted(JOURNALS.glob("*.jsonl"))


def recorded(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_recorded_journal_still_amounts_to_the_same(file: Path) -> None:
    for journal in recorded(file):
        rows = [Row(*row) for row in journal["rows"]]
        assert told(journal["id"], rows) == journal["told"], journal["name"]


def test_the_recorded_journals_have_most_kinds_of_events() -> None:
    kinds = {row[1] for file in FILES for journal in recorded(file) for row in journal["rows"]}
    assert kinds <= EVENTS.keys()
    assert {"created", "graph_extended", "map_expanded", "branch_taken", "timer_fired", "signal_received"} <= kinds


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_it_is_shown_from_any_database(store: Store, file: Path, tmp_path: Path) -> None:
    for journal in recorded(file):
        rows = [Row(*row) for row in journal["rows"]]
        changes = {"status": journal["told"]["status"], "completed_at": rows[-1].at, "owner": None}
        store.journal.create(new(journal["id"]), Append(number=0, epoch=1, rows=rows, changes=changes))
        shown = view(store.records, LocalBlobs(tmp_path), journal["id"])
        assert shown.record.status == journal["told"]["status"]
        assert store.records.rows(journal["id"]) == rows
