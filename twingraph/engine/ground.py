"""What every part of a conductor stands on."""

from __future__ import annotations

from typing import NamedTuple

from twingraph.engine.clock import Clock
from twingraph.engine.garbage import Garbage
from twingraph.engine.handing import Handing
from twingraph.engine.moments import Moments
from twingraph.engine.roster import Roster
from twingraph.engine.sizes import USUAL, Sizes
from twingraph.store.base import Journal


class Ground(NamedTuple):
    name: str  # under which the conductor holds executions
    roster: Roster
    journal: Journal
    dispatch: Handing
    clock: Clock
    moments: Moments
    garbage: Garbage
    sizes: Sizes = USUAL
