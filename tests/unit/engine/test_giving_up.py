"""A part of an execution that fails ends in many turns, and others go on between."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.support.by_hand import ByHand
from tests.support.conducting import fresh_home, plan, task
from twingraph.core.plan import NodeKind, PlanNode, ScopeSettings, Template
from twingraph.core.policies import ErrorHandler
from twingraph.engine.sizes import USUAL

MANY = 3_000


def fails(lane: object, run: object) -> object:
    if getattr(run, "node", "").startswith("part/"):
        raise ValueError("no")
    return 1


def test_a_part_that_fails_while_the_rest_goes_on_ends_in_many_turns(tmp_path: Path) -> None:
    home = fresh_home(tmp_path / "home")
    by_hand = ByHand(home, fails)
    by_hand.dispatch.hold = True
    inside = Template(nodes=tuple(PlanNode(id=f"n{number}", spec=0) for number in range(MANY)), last_nodes=("n0",))
    part = PlanNode(id="part", kind=NodeKind.SCOPE, template="inside", bounds=ScopeSettings(error_handler="fail"))
    large = by_hand.submit(plan(part, task("rest"), templates={"inside": inside}), error_handler=ErrorHandler.CONTINUE)
    by_hand.turns_until(lambda: {"part/n0", "rest"} <= {run.node for _, run in by_hand.dispatch.waiting})
    running = len(by_hand.dispatch.waiting) - 1
    state = by_hand.state(large)
    ended, recorded = [0], list[int]()
    small = by_hand.submit(plan(task("small")))
    rows = len(by_hand.records.rows(large.id))

    def look() -> None:
        ended.append(state.ended_count)
        if small.wait_recorded(0) and not recorded:
            recorded.append(state.ended_count)

    by_hand.dispatch.let_one_go("part/n0")
    by_hand.turns_until(lambda: state.ended_count > MANY - running, look)
    assert max(after - before for before, after in itertools.pairwise(ended)) <= 2 * USUAL.at_once
    assert recorded
    assert recorded[0] < MANY / 2
    by_hand.turns_until(lambda: by_hand.records.rows(large.id)[-1].kind == "node_ended")
    assert len(by_hand.records.rows(large.id)) == rows + 1  # as if it had happened at once
    by_hand.turns_until(lambda: large.wait(0), by_hand.dispatch.let_go)
    assert (state.nodes["part"].status, state.nodes["rest"].status) == ("failed", "completed")
    by_hand.conductor.end()
    home.close()
