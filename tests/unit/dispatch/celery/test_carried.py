"""What a worker knows of lanes that it does not hold."""

from __future__ import annotations

from twingraph.dispatch.celery.carried import BACKLOG_SECONDS, Backlogs, Desks, Unwanted
from twingraph.dispatch.celery.messages import Wish


def test_a_queue_counts_as_one_where_something_waits_for_a_while() -> None:
    now = 0.0
    backlogs = Backlogs(lambda: now)
    backlogs.hear(["b", "a"])
    now = BACKLOG_SECONDS - 1
    assert backlogs.names() == ["a", "b"]
    backlogs.hear(["b"])
    now = BACKLOG_SECONDS
    assert backlogs.names() == ["b"]


def test_wishes_for_a_lane_add_up_until_it_comes() -> None:
    unwanted = Unwanted()
    for nodes in (["a"], ["b"]):
        unwanted.keep(Wish("drop", "1", nodes))
    unwanted.keep(Wish("cancel", "1"))
    drop, cancel = unwanted.take("1")
    assert (drop.act, sorted(drop.nodes or ())) == ("drop", ["a", "b"])
    assert (cancel.act, cancel.nodes) == ("cancel", None)
    assert unwanted.take("1") == []


def test_a_conductor_that_lost_an_execution_is_not_heard() -> None:
    desks = Desks()
    assert not desks.has_left("e", "any")
    assert desks.moves("e", "second", 2)
    assert not desks.moves("e", "first", 1)
    assert desks.has_left("e", "first")
    assert not desks.has_left("e", "second")
