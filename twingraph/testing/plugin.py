"""For pytest: the fixture `inline`. Every pytest beside twingraph loads this, so it imports next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from twingraph.testing.inline import Inline


@pytest.fixture
def inline() -> Iterator[Inline]:
    """A fresh engine in this test's process, see docs/guides/testing.md."""
    from twingraph.testing.inline import Inline

    made = Inline()
    yield made
    made.close()
