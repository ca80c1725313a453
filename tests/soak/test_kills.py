"""`make soak`: recovery over 200 kills."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.crash.lives import lives


@pytest.mark.soak
@pytest.mark.only_where(sys.platform == "linux", "looks for orphaned processes in /proc")
def test_two_hundred_kills(tmp_path: Path) -> None:
    assert lives(tmp_path, 0, 200).total() == 200
