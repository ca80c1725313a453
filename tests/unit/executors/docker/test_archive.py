"""What travels into a container."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

import pytest

from twingraph.core.codec import encode
from twingraph.core.errors import StoreError
from twingraph.executors.base import Task
from twingraph.executors.docker.archive import GoingIn
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
