from __future__ import annotations

import os
from pathlib import Path

from twingraph.executors.marks import SIZE, Marks


def test_what_is_recalled_does_not_begin(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "marks", os.O_RDWR | os.O_CREAT)
    os.ftruncate(descriptor, SIZE)
    worker, parent = Marks(descriptor), Marks(descriptor)
    os.close(descriptor)
    assert worker.begin(1, 5.0)
    assert (parent.begun, parent.at) == (1, 5.0)
    parent.recall(2, 4)
    assert not worker.begin(2, 6.0)
    assert not worker.begin(3, 6.0)
    assert worker.begin(4, 7.0)
    worker.close()
    parent.close()
