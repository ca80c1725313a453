from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.by_hand import ByHand, Opens
from tests.support.conducting import Act, fresh_home


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opens]:
    home = fresh_home(tmp_path / "home")
    made: list[ByHand] = []

    def open_one(act: Act) -> ByHand:
        made.append(ByHand(home, act))
        return made[-1]

    yield open_one
    for by_hand in made:
        by_hand.conductor.end()
    home.close()
