"""What `twingraph prune` asks of the engine, and how it tells what went."""

from __future__ import annotations

import json
import time

import pytest

from tests.unit.cli.double import MemoryBackend, MemoryReader, make_console, make_view, written
from twingraph.cli.entry import main
from twingraph.cli.errors import COMPLETED, WRONG_USE
from twingraph.store.prune import Doomed, Pruned, Retention


def prune(backend: MemoryBackend, *words: str) -> tuple[int, str, str]:
    console = make_console()
    code = main(("prune", *words), backend=backend, console=console)
    return code, written(console.out), written(console.err)


def asked(backend: MemoryBackend) -> tuple[Retention, bool]:
    (request,) = backend.asked
    assert isinstance(request, tuple)
    return request


@pytest.mark.parametrize(
    ("age", "seconds"),
    [("30d", 30 * 86_400), ("12h", 43_200), ("90m", 5_400), ("1.5h", 5_400), ("2w", 1_209_600), ("45s", 45), ("0", 0)],
)
def test_an_age_is_given_in_units(age: str, seconds: float) -> None:
    backend = MemoryBackend()
    assert prune(backend, "--older-than", age)[0] == COMPLETED
    retention, dry_run = asked(backend)
    assert retention.ended_before == pytest.approx(time.time() - seconds, abs=30)
    assert (retention.keep, retention.workflow, dry_run) == (0, None, False)


def test_a_count_alone_takes_every_age() -> None:
    backend = MemoryBackend(reader=MemoryReader(views=[make_view([])]))
    prune(backend, "--keep", "5", "--workflow", "tour.py:wf", "--dry-run")
    retention, dry_run = asked(backend)
    assert retention.ended_before == pytest.approx(time.time(), abs=30)
    assert (retention.keep, retention.workflow, dry_run) == (5, "tour.py:wf", True)


def test_a_count_beyond_all_bounds_keeps_all() -> None:
    backend = MemoryBackend()
    assert prune(backend, "--keep", str(10**30))[0] == COMPLETED
    assert asked(backend)[0].keep >= 10**9


@pytest.mark.parametrize(
    ("typed", "said"),
    [("tour.py:wg", "did you mean tour.py:wf?"), ("tour", "did you mean tour.py:wf?"), ("zzz", "show ID --json")],
)
def test_a_workflow_that_nothing_ran_under_is_wrong_use(typed: str, said: str) -> None:
    backend = MemoryBackend(reader=MemoryReader(views=[make_view([])]))
    code, _, notes = prune(backend, "--keep", "5", "--workflow", typed)
    assert (code, backend.asked) == (WRONG_USE, [])
    assert "no execution has this workflow" in notes
    assert said in notes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--older-than 30d, --keep 100"),
        (["--workflow", "daily"], "say what may go"),
        (["--older-than", "30"], "is no age; write it as 30d"),
        (["--older-than", "soon"], "is no age"),
        (["--older-than", "-1d"], "expected one argument"),
        (["--keep", "-1"], "--keep"),
    ],
)
def test_what_cannot_be_meant_is_wrong_use(words: list[str], said: str) -> None:
    backend = MemoryBackend()
    code, _, notes = prune(backend, *words)
    assert code == WRONG_USE
    assert said in notes
    assert backend.asked == []


def gone() -> Pruned:
    going = [Doomed(2, "exec-b", "daily", time.time() - 86_400), Doomed(1, "exec-a", "daily", 0.0)]
    return Pruned(executions=going, kept_for_others=1, blobs=3, blob_bytes=2_000_000, free_bytes=4096)


def test_what_went_is_told() -> None:
    backend = MemoryBackend(pruned=gone())
    _, out, notes = prune(backend, "--older-than", "1d")
    assert "removed 2 executions, 0 code versions, 3 blobs" in out
    assert "1 older execution kept" in notes
    assert "twingraph prune --vacuum" in notes


def test_a_dry_run_names_what_would_go() -> None:
    backend = MemoryBackend(pruned=gone())
    _, out, _ = prune(backend, "--older-than", "1d", "--dry-run")
    assert "exec-a" in out
    assert "would remove 2 executions" in out


def test_programs_read_one_document() -> None:
    backend = MemoryBackend(pruned=gone())
    _, out, notes = prune(backend, "--older-than", "1d", "--json")
    told = json.loads(out)
    assert told["executions"] == ["exec-b", "exec-a"]
    assert (told["blobs"], told["blob_bytes"], told["dry_run"]) == (3, 2_000_000, False)
    assert notes == ""


def test_the_file_is_made_smaller_when_that_is_asked_for() -> None:
    backend = MemoryBackend()
    assert prune(backend, "--vacuum")[0] == COMPLETED
    assert backend.asked == ["shrink"]
