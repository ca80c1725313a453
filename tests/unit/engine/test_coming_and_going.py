"""Whoever carries nodes elsewhere hears which executions are taken over, before any lane of them, and which leave."""

from __future__ import annotations

from pathlib import Path

from tests.support.by_hand import ByHand
from tests.support.conducting import echo, fresh_home, plan, task


def test_what_comes_from_another_conductor_is_told_with_its_epoch_and_what_leaves_too(tmp_path: Path) -> None:
    home = fresh_home(tmp_path / "home")
    before, after = ByHand(home, echo), ByHand(home, echo)
    before.dispatch.hold = after.dispatch.hold = True
    given = before.submit(plan(task("only")))
    before.turns_until(lambda: bool(before.dispatch.waiting))
    assert before.told == []
    held = before.conductor._roster.named(given.id)
    assert held is not None
    before.conductor._leaving.give_up(held, RuntimeError("as if it had died"))
    assert [what for _, what, _ in before.told] == ["left"]
    again = after.conductor.adopt(given.id)
    after.turns_until(lambda: bool(after.dispatch.waiting))
    assert after.told == [(given.id, "epoch 2", 0)]
    after.dispatch.let_go()
    after.turns_until(lambda: again.wait(0))
    assert [what for _, what, _ in after.told] == ["epoch 2", "over"]
    for by_hand in (before, after):
        by_hand.conductor.end()
    home.close()
