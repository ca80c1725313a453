"""Long values are put together by and by, once, and are what they are when they are put together at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.bodies import Steps
from tests.support.conducting import EACH, Rig, args, each, hole, over, plan, task
from twingraph.core import codec
from twingraph.core.plan import Edge, NodeKind, Plan, PlanNode, Template
from twingraph.dispatch.base import Lane, NodeRun
from twingraph.engine.ahead import ValuesAhead
from twingraph.engine.kernel import Node
from twingraph.engine.sizes import USUAL
from twingraph.engine.values import Values

Script = Generator[Any, Any, Any]

MANY = 20
FEW = USUAL._replace(long_parts=2)
NAMES = [f"n{number}" for number in range(MANY)]
TASKS = tuple(task(name) for name in NAMES)
LISTED = ("[", *[part for name in NAMES for part in (*hole(name), ",")][:-1], "]")
TAKER = PlanNode(
    id="taker",
    spec=0,
    edges=tuple(Edge(source=name, param="xs") for name in NAMES),
    args={"xs": LISTED, "other": hole("n1")},
)


def several(do: Steps) -> Script:
    calls = []
    for number in range(MANY):
        call = yield do.start("one", number)
        calls.append(call)
    return calls


def taken(do: Steps) -> Script:
    calls = yield from several(do)
    return (yield do.start("taker", calls, calls))


def named(do: Steps) -> Script:
    calls = yield from several(do)
    return {"all": calls, "one": calls[0], "none": None}


def below(do: Steps) -> Script:
    return (yield do.start("several", kind=NodeKind.SCOPE))


def far_below(do: Steps) -> Script:
    deep = yield do.start("below", kind=NodeKind.SCOPE)
    names = yield do.start("named", kind=NodeKind.SCOPE)
    taker = yield do.start("taker", deep, names)
    return [deep, names, taker, [1]]


BODIES: Mapping[str, Callable[..., Any]] = {
    "several": several,
    "taken": taken,
    "named": named,
    "below": below,
    "far_below": far_below,
}
INNER = Template(nodes=(PlanNode(id="x", spec=0, args={"x": hole(item=True)}), each("m", "x")), last_nodes=("m",))
PLANS: Mapping[str, Plan] = {
    "a list": plan(*TASKS, result=LISTED),
    "last nodes": plan(*TASKS, last=tuple(NAMES)),
    "an argument": plan(*TASKS, TAKER, last=("taker",)),
    "a map": plan(task("a"), each("all", "a")),
    "a map of maps": plan(task("a"), each("all", "a", template="inner"), templates={"inner": INNER, "each": EACH}),
}


def act(lane: Lane, run: NodeRun) -> object:
    if run.node == "all":
        return [[number] for number in range(MANY)]
    return [1, 2, 3] if run.node.endswith("/m") else args(run) or run.node


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Everything is long, and of every end it is noted whether it was put together ahead, as it is at once."""
    monkeypatch.setattr(codec, "INLINE_LIMIT", 100)
    found: list[bool] = []
    ahead = ValuesAhead.ending

    def ending(self: ValuesAhead) -> tuple[str, Mapping[str, str]]:
        was_ahead = self._ended is not None
        by_and_by = ahead(self)
        self._lines.clear()
        at_once = Values.ending(self)
        assert (by_and_by[0], list(by_and_by[1].items())) == (at_once[0], list(at_once[1].items()))
        found.append(was_ahead)
        return by_and_by

    monkeypatch.setattr(ValuesAhead, "ending", ending)
    yield found
    assert found
    assert all(found)


@pytest.mark.parametrize("name", PLANS)
def test_what_a_drawn_workflow_gives(tmp_path: Path, compared: list[bool], name: str) -> None:
    with Rig(tmp_path, act, sizes=FEW) as rig:
        assert rig.run(PLANS[name]).status == "completed"


@pytest.mark.parametrize("name", BODIES)
def test_what_a_body_gives(tmp_path: Path, compared: list[bool], name: str) -> None:
    with Rig(tmp_path, act, sizes=FEW, bodies=BODIES) as rig:
        assert over(rig.drive(name)).status == "completed"


@pytest.mark.parametrize("secret", [None, '"$secret:x"'])
def test_an_argument_is_the_same_to_the_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str | None
) -> None:
    seen: list[Any] = []

    def note(lane: Lane, run: NodeRun) -> object:
        if run.node == "taker":
            seen.append(list(run.args))
        return secret or run.node

    for number, long in enumerate((2, 1_000)):
        with Rig(tmp_path / str(number), note, sizes=USUAL._replace(long_parts=long)) as rig:
            rig.run(PLANS["an argument"])
    assert seen[0] == seen[1]


def test_the_parts_of_a_result_are_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()
    whole = Values.whole

    def counted(self: Values, node: Node) -> str:
        asked[node.id] += 1
        return whole(self, node)

    monkeypatch.setattr(Values, "whole", counted)
    with Rig(tmp_path, act, sizes=FEW, bodies=BODIES) as rig:
        over(rig.drive("several"))
    assert (len(asked), set(asked.values())) == (MANY, {1})


def test_a_result_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []
    compacting = codec.compacting

    def counted(text: str, blobs: object) -> Generator[None, None, str]:
        moved.append(text)
        return compacting(text, blobs)

    monkeypatch.setattr(codec, "compacting", counted)
    monkeypatch.setattr(codec, "INLINE_LIMIT", 100)
    monkeypatch.setattr(codec, "hash_tree", lambda tree: pytest.fail("it was hashed at once"))
    with Rig(tmp_path, act, sizes=FEW, bodies=BODIES) as rig:
        handle = over(rig.drive("several"))
        assert handle.outputs == {"output": handle.result}
        assert handle.result is not None
        assert handle.result.startswith('{"$":"ref"')
    assert len(moved) == 1


def test_edges_and_parts_are_gone_through_by_and_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []
    ahead = ValuesAhead.before_arguments

    def counted(self: ValuesAhead, nodes: Iterable[Node], **more: bool) -> Iterator[None]:
        found.append(0)
        for _ in ahead(self, nodes, **more):
            found[-1] += 1
            yield

    monkeypatch.setattr(ValuesAhead, "before_arguments", counted)
    with Rig(tmp_path, act, sizes=FEW) as rig:
        rig.run(PLANS["an argument"])
    # Edges, parts that may be items, and parts that are filled, two at a time.
    assert found == [len(NAMES) // 2 + 2 * ((len(LISTED) + 1) // 2)]
