"""What is left of a state that nobody needs any more is freed by and by."""

from __future__ import annotations

from weakref import ref

from twingraph.core.plan import Edge, PlanNode
from twingraph.engine.kernel import Node, State
from twingraph.engine.kernel.state import taken_apart

MANY = 3_000
AT_ONCE = 500


class Part(str):
    """Text of which one can see whether it is still there."""

    __slots__ = ("__weakref__",)


def test_so_are_the_parts_of_a_wide_call() -> None:
    state = State("exec")
    texts = [Part(number) for number in range(MANY)]
    parts = [ref(text) for text in texts]
    plan = PlanNode("wide", edges=tuple(Edge(f"n{number}") for number in range(MANY)), args={"xs": tuple(texts)})
    node = Node("wide", plan, state.root)
    state.root.nodes["wide"] = node
    state.add(node)
    del texts, plan, node

    left = MANY
    steps = taken_apart(state)
    del state
    for _ in steps:
        now = sum(part() is not None for part in parts)
        assert left - now <= AT_ONCE
        left = now
    assert left == 0
