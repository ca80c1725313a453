"""What is recorded of the code of an execution, and found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twingraph.engine.code import CodeUnavailableError, describe, reference
from twingraph.store.blobs.local import LocalBlobs


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path)


def test_a_drawn_workflow_has_no_bodies(blobs: LocalBlobs) -> None:
    version, found = describe(blobs.put(b"slices"), blobs)
    assert found.body_path == ""
    assert set(json.loads(found.description)) == {
        "bundle",
        "interpreter",
        "python",
        "working_dir",
        "sys_path",
        "distributions",
    }
    assert reference(version, found.description, blobs) == found


def test_bodies_are_kept_beside_the_slices(blobs: LocalBlobs) -> None:
    slices, bodies = blobs.put(b"slices"), blobs.put(b"bodies")
    version, found = describe(slices, blobs, (), bodies)
    assert version != describe(slices, blobs)[0]
    assert Path(found.bundle_path).read_bytes() == b"slices"
    assert Path(found.body_path).read_bytes() == b"bodies"
    assert reference(version, found.description, blobs) == found


def test_bodies_that_are_gone_are_missed(blobs: LocalBlobs) -> None:
    version, found = describe(blobs.put(b"slices"), blobs, (), blobs.put(b"bodies"))
    Path(found.body_path).unlink()
    with pytest.raises(CodeUnavailableError, match=r"recorded code cannot be read.*--code current"):
        reference(version, found.description, blobs)
