"""kill -9 of the whole process, then `twingraph resume --all`: everything finishes, and nothing finished runs again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.crash.lives import lives

pytestmark = pytest.mark.only_where(sys.platform == "linux", "looks for orphaned processes in /proc")


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_execution_finishes_and_repeats_nothing(tmp_path: Path, seed: int) -> None:
    assert lives(tmp_path, seed, 4).total() == 4
