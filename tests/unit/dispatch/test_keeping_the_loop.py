"""Who keeps the loop of a shared process, as far as its marks show: they are read one after the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from twingraph.dispatch.embedded.options import PoolOptions
from twingraph.dispatch.embedded.process import WorkerProcess
from twingraph.dispatch.embedded.rounds import Rounds

# What is read where a run lets go of the loop between the two looks.
LET_GO = SimpleNamespace(begun=3, since=0.0, told=0)


def test_one_that_has_just_let_go_is_not_accused() -> None:
    worker = SimpleNamespace(
        steps=LET_GO, pending={3: None}, looked=0.0, open={}, strands=(), is_stuck=False, current=lambda: None
    )
    rounds = Rounds(PoolOptions(), cast("Any", None), cast("Any", None), lambda: None)
    rounds._watch_shared(cast("Any", None), cast("WorkerProcess", worker), now=18229.5)
    assert not worker.is_stuck


def test_one_that_has_just_let_go_can_hear() -> None:
    assert not WorkerProcess.keeps_the_loop(cast("WorkerProcess", SimpleNamespace(steps=LET_GO)), 3)
