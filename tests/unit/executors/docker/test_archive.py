"""What travels into a container."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import cast

import pytest

from twingraph.core.codec import encode
from twingraph.core.errors import StoreError
from twingraph.executors.base import Task
from twingraph.executors.docker.archive import GoingIn, code_for
from twingraph.store.blobs.base import BlobStore
from twingraph.store.blobs.catalog import open_blobs


class Damaged(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error")


class Damages:
    """Values on a disk that fails."""

    def open(self, digest: str) -> Damaged:
        return Damaged(b"some")


def test_a_value_that_cannot_be_read_is_told_as_what_it_is(tmp_path: Path) -> None:
    """Who speaks to a container takes an OSError for its end, and would wait for its last words for ever."""
    (tmp_path / "bundle").write_text("{}")
    text = encode(b"x" * 200_000, blobs=open_blobs(str(tmp_path / "blobs"))).text
    task = Task(
        execution="e", node="n", attempt=1, component="c", entry="c", bundle_path=str(tmp_path / "bundle"),
        code_version="1", args=[("data", text)],
    )  # fmt: skip
    going_in = GoingIn(task, (), cast(BlobStore, Damages()))
    with pytest.raises(StoreError, match=r"blob [0-9a-f]{64} cannot be read: .*Input/output error"):
        list(going_in.pieces())


SLICED, WHOLE, THERE = {"mode": "slice"}, {"mode": "project", "project": "d1"}, {"mode": "image"}


@pytest.mark.parametrize(
    ("entry", "modules", "entries", "projects"),
    [
        ("m:f", {"m": {}}, {"m:f": SLICED, "image m:f": THERE}, {}),
        ("bundle m:f", {}, {"bundle m:f": WHOLE}, {"d1": "..."}),
        ("image m:f", {}, {"image m:f": THERE}, {}),
    ],
)
def test_a_project_travels_only_to_who_needs_it(
    tmp_path: Path, entry: str, modules: object, entries: object, projects: object
) -> None:
    made = {
        "format": 1,
        "modules": {"m": {}},
        "entries": {"m:f": SLICED, "bundle m:f": WHOLE, "image m:f": THERE},
        "projects": {"d1": "...", "d2": "..."},
    }
    (tmp_path / "bundle").write_text(json.dumps(made, separators=(",", ":")))
    found = json.loads(code_for(str(tmp_path / "bundle"), entry))
    assert (found["modules"], found["entries"], found.get("projects", {})) == (modules, entries, projects)


def test_slices_go_as_they_were_packed(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text('{"entries": {}}')
    assert code_for(str(tmp_path / "bundle"), "m:f") == b'{"entries": {}}'
