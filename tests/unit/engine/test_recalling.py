"""An execution that has completed is recalled without its lanes: whatever is asked of it is as when it is folded."""

from __future__ import annotations

from random import Random

import pytest

from tests.support.conducting import task
from tests.support.snapshots import recalled_otherwise
from twingraph.core.events import (
    KINDS,
    Created,
    DecisionMade,
    Event,
    ExecutionEnded,
    GraphClosed,
    GraphExtended,
    NodeBegun,
    NodeEnded,
    NodesReturned,
    OutcomesKept,
    body_of,
)
from twingraph.core.plan import Edge, NodeKind, NodeSpec, PlanNode
from twingraph.core.records import ErrorRecord, Settings
from twingraph.core.statuses import ExecutionStatus
from twingraph.engine.folding import recall
from twingraph.engine.kernel import State, apply, commands
from twingraph.store.base import Row

SPECS = tuple(NodeSpec(component=f"c{number}", entry=f"c{number}", priority=number % 2) for number in range(3))
OUTPUT = (("output", "0" * 64, 1),)


class Life:
    """A pipeline with bodies in its body, whose calls end in any order."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.state = State("exec-a")
        self.rows: list[Row] = []
        self.runs: list[tuple[str, int]] = []
        self.open: dict[str, list[str]] = {}  # scopes whose bodies run, and their calls so far
        self.do(Created(Settings(max_parallel=self.chance.choice((1, 3, 1000))), body="flow:body"))
        self.do(GraphExtended((), SPECS, driven=True))

    def do(self, event: Event) -> None:
        self.rows.append(Row(len(self.rows) + 1, KINDS[type(event)], float(len(self.rows)), body_of(event), "1"))
        for command in apply(self.state, event, self.rows[-1].at, self.rows[-1].seq):
            if isinstance(command, commands.Dispatch):
                self.runs += command.runs
            elif isinstance(command, commands.StartDriver):
                self.open[command.scope] = []

    def live(self) -> None:
        while self.open or self.runs:
            if self.open and self.chance.random() < 0.6:
                self.go_on(self.chance.choice(sorted(self.open)))
            elif self.runs:
                self.end(*self.runs.pop(self.chance.randrange(len(self.runs))))
        assert self.state.finishing is ExecutionStatus.COMPLETED
        self.do(ExecutionEnded("completed"))

    def go_on(self, path: str) -> None:
        calls, chance = self.open[path], self.chance
        if len(calls) > 4 or chance.random() < 0.1:
            del self.open[path]
            self.do(GraphClosed(path, last_nodes=tuple(calls[-1:])))
        elif chance.random() < 0.2:
            self.do(DecisionMade(path, "now", 1.0))
        else:
            made = [self.call(f"n{len(calls) + number}", calls, path) for number in range(chance.choice((1, 1, 3)))]
            calls += [node.id for node in made]
            self.do(GraphExtended(tuple(made), scope=path, driven=True))
            if not path and chance.random() < 0.2:
                name = made[0].id
                if made[0].kind is NodeKind.TASK and not made[0].edges:
                    self.do(OutcomesKept("exec-before", ((name, 7, "plain", OUTPUT),)))

    def call(self, name: str, calls: list[str], path: str) -> PlanNode:
        sources = self.chance.sample(calls, min(len(calls), self.chance.choice((0, 0, 1, 2))))
        edges = tuple(Edge(source=source, param=f"p{at}") for at, source in enumerate(sources))
        if self.chance.random() < 0.2 and path.count("/") < 2:
            return PlanNode(name, NodeKind.SCOPE, edges=edges)
        return PlanNode(name, spec=self.chance.randrange(len(SPECS)), edges=edges)

    def end(self, node: str, attempt: int) -> None:
        if self.state.nodes[node].over:  # it was kept meanwhile
            return
        if self.chance.random() < 0.3:
            self.do(NodeBegun(node, attempt))
        moment = 1.0 + self.chance.random()
        ended = NodeEnded(node, attempt, "completed", 1.0, moment, shape="plain", outputs=OUTPUT)
        if self.chance.random() < 0.5:
            ended = ended._replace(cached_from="exec-other", cached_node="x")
        self.do(ended)


def test_it_comes_to_the_same_for_all_that_is_asked() -> None:
    nodes = 0
    for seed in range(200):
        life = Life(seed)
        life.live()
        nodes += len(life.state.nodes)
        assert recalled_otherwise(life.rows, life.state) is None, f"seed {seed}"
        recalled = State("exec-a")
        assert all(recall(recalled, row) is not None for row in life.rows), f"seed {seed}"
        assert recalled.nodes.keys() == life.state.nodes.keys()
    assert nodes > 1_000


@pytest.mark.parametrize(
    "event",
    [
        NodeEnded("a", 1, "failed", error=ErrorRecord(code="user_error", error_type="X", message="x")),
        NodeEnded("a", 2, "completed", shape="plain", outputs=OUTPUT),
        NodesReturned((("a", 1),)),
        GraphClosed(error=ErrorRecord(code="user_error", error_type="X", message="x")),
    ],
)
def test_what_is_a_matter_of_lanes_is_left_to_those_who_fold(event: Event) -> None:
    state = State("exec-a")
    graph = GraphExtended((task("a"),), SPECS, driven=True)
    first: tuple[Event, ...] = (Created(Settings(), body="flow:body"), graph)
    for seq, one in enumerate(first, 1):
        assert recall(state, Row(seq, KINDS[type(one)], 0.0, body_of(one), None)) is not None
    before = state.nodes["a"].status, state.seq
    assert recall(state, Row(3, KINDS[type(event)], 0.0, body_of(event), None)) is None
    assert (state.nodes["a"].status, state.seq) == before
