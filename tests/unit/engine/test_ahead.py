"""Long values are put together by and by, once, and are what they are when they are put together at once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.bodies import Body, Steps
from tests.support.conducting import EACH, Rig, args, each, hole, over, plan, task, value
from twingraph.core import codec, codec_join, codec_long
from twingraph.core.caching import CachePolicy
from twingraph.core.codec import hash_text
from twingraph.core.events import Event, NodeEnded
from twingraph.core.plan import Argument, Edge, NodeKind, Plan, PlanNode, Template
from twingraph.dispatch.base import Lane, NodeRun
from twingraph.engine import ahead, cached_work, identity
from twingraph.engine.ahead import ValuesAhead
from twingraph.engine.cached_work import Described
from twingraph.engine.ground import Ground
from twingraph.engine.held import Held
from twingraph.engine.kernel import Node, State
from twingraph.engine.keying import Keying
from twingraph.engine.recorded import Recorded
from twingraph.engine.sharing import Asked, Asker, Sharing
from twingraph.engine.sizes import USUAL
from twingraph.engine.values import Values
from twingraph.store.base import CachedOutcome
from twingraph.store.blobs.memory import MemoryBlobs

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


BODIES: Mapping[str, Body] = {
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
    ending_ahead = ValuesAhead.ending

    def ending(self: ValuesAhead) -> tuple[str, Mapping[str, str]]:
        was_ahead = self._ended is not None
        by_and_by = ending_ahead(self)
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
    before = ValuesAhead.before_arguments

    def counted(self: ValuesAhead, nodes: Iterable[Node], **more: bool) -> Iterator[None]:
        found.append(0)
        for _ in before(self, nodes, **more):
            found[-1] += 1
            yield

    monkeypatch.setattr(ValuesAhead, "before_arguments", counted)
    with Rig(tmp_path, act, sizes=FEW) as rig:
        rig.run(PLANS["an argument"])
    # Edges, parts that may be items, parts of a list that may be large, and parts that are filled, two at a time.
    assert found == [len(NAMES) // 2 + (len(LISTED) - 2) // 2 + 2 * ((len(LISTED) + 1) // 2)]


def waits(do: Steps) -> Script:
    """It waits for sub-pipelines that give much, and hands it to others."""
    listed = yield do.call("several", kind=NodeKind.SCOPE)
    by_name = yield do.call("named", kind=NodeKind.SCOPE)
    calls = yield from several(do)
    echoed = yield do.call("echoed", calls, kind=NodeKind.SCOPE)
    return [listed, by_name, echoed]


def echoed(do: Steps, xs: list[Any]) -> Script:
    yield from ()
    return xs


def test_a_body_is_told_and_called_with_what_was_put_together_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[int] = []
    fill = Values.fill

    def counted(self: Values, argument: Any, *more: Any) -> str:
        filled.append(len(argument))
        return fill(self, argument, *more)

    bodies: Mapping[str, Body] = {**BODIES, "waits": waits, "echoed": echoed}
    with Rig(tmp_path / "few", act, sizes=FEW, bodies=bodies) as rig:
        monkeypatch.setattr(Values, "fill", counted)
        by_and_by = value(over(rig.drive("waits")))
    assert max(filled) == FEW.long_parts  # never the whole list at once
    with Rig(tmp_path / "many", act, bodies=bodies) as rig:
        assert value(over(rig.drive("waits"))) == by_and_by


def drained(steps: Generator[None, None, Any]) -> tuple[Any, int]:
    for number in itertools.count():
        try:
            next(steps)
        except StopIteration as end:
            return end.value, number
    raise AssertionError


def test_a_wide_call_is_hashed_by_and_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash of its history, its key, and what a replay asks of it."""
    with Rig(tmp_path, act, bodies=BODIES) as rig:
        ids = [over(rig.drive("taken")).id, rig.run(PLANS["an argument"]).id]
        for execution in ids:
            recorded, again = Recorded(rig.records, execution, rig.blobs), Recorded(rig.records, execution, rig.blobs)
            node, other = recorded.state.nodes["taker"], again.state.nodes["taker"]
            hashed = identity.hash_of(recorded.state, recorded.values, node)
            key = identity.cache_key_of(recorded.state, recorded.values, node)
            asked = recorded.values.call_hash(node)

            monkeypatch.setattr(identity, "_AT_ONCE", 3)
            monkeypatch.setattr(codec_long, "PARTS", 3)
            monkeypatch.setattr(ahead, "_PIECE", 7)
            values = ValuesAhead(again.state, lambda seq: None, rig.blobs)
            values._lines.update(
                {node.seq: again.values.lines_of(node) for node in again.state.nodes.values() if node.seq}
            )
            values.long = 2
            assert values.is_long(other)
            found, steps = drained(identity.hashing(again.state, values, other))
            assert (found, steps > 2 * MANY // 3) == (hashed, True)
            assert identity.cache_key_of(again.state, values, other) == key
            assert not values.knows_call_hash(other)
            assert sum(1 for _ in values.before_call_hash(other)) > MANY // 2
            assert values.knows_call_hash(other)
            assert values.call_hash(other) == asked
            monkeypatch.undo()


def test_the_list_of_a_generator_that_ran_before_is_joined_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has handed over here stands, also when the rest comes from the cache."""
    found = NodeEnded("n", 1, "completed", shape="plain", outputs=(("output", "0" * 64, 1),), cached_from="other")
    monkeypatch.setattr(cached_work, "check_age", lambda *about: None)
    monkeypatch.setattr(cached_work, "hit", lambda *about: (found, ["[7,8,9,10,11]"]))
    state = State("e")
    node = Node("n", PlanNode(id="n"), state.root)
    node.given, node.items = [(0, 5, 0)], 2
    state.nodes["n"] = node
    values = ValuesAhead(state, lambda seq: "1\n2", MemoryBlobs())
    values.long = 1
    held = cast(Held, SimpleNamespace(number=1, state=state, values=values, code=None))
    begun: list[Iterator[None]] = []
    brought: list[tuple[Event, Sequence[str] | None]] = []
    sharing = Sharing(
        cast(Ground, SimpleNamespace(clock=SimpleNamespace(now=lambda: 1.0))),
        MemoryBlobs(),
        lambda held, event, lines: brought.append((event, lines)),
        lambda held, act: act(),
        lambda held, steps: begun.append(steps),
        cast(Keying, None),
    )
    asked = Asked(Described("", "key", "task", CachePolicy()), 0.0)
    sharing._asked[1, "n"] = asked
    sharing._hit(Asker(held, "n", asked), cast(CachedOutcome, None))
    assert not brought
    assert sum(1 for _ in begun[0]) > 5
    ((event, lines),) = brought
    assert lines == ("[1,2,9,10,11]",)
    assert event == found._replace(outputs=(("output", hash_text("[1,2,9,10,11]"), 13),))


@pytest.mark.parametrize(
    ("given", "argument", "is_moved"),
    [
        ({}, LISTED, True),
        ({"n7": "${secret:TOKEN}"}, LISTED, False),  # it must not name a secret there
        ({}, ("[", *hole("n0"), ",1,", *hole("n1"), "]"), False),  # something of the author's stands between
        ({}, (*LISTED[:-1], ",2]"), False),
    ],
)
def test_a_list_that_comes_to_much_is_put_into_the_store_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str], argument: Argument, is_moved: bool
) -> None:
    monkeypatch.setattr(ahead, "_LARGE", 100)
    monkeypatch.setattr(codec_join, "INLINE_LIMIT", 100)
    seen: dict[str, str] = {}

    def act(lane: Lane, run: NodeRun) -> object:
        seen.update(run.args)
        return given.get(run.node, f"what {run.node} gives")

    taker = TAKER._replace(args={"xs": argument})
    with Rig(tmp_path / "home", act, sizes=FEW) as rig:
        assert over(rig.submit(plan(*TASKS, taker))).status == "completed"
        text = seen["xs"]
        assert ('"rung":"list"' in text) is is_moved
        values = [given.get(name, f"what {name} gives") for name in NAMES]
        if is_moved:
            assert codec.decode(text, blobs=rig.blobs) == values
            assert hash_text(text) == codec.encode(values).hash
        elif "n7" not in given:
            assert codec.decode(text) == [values[0], 1, values[1]] if ",1," in argument else [*values, 2]


# What each item of a map is: a chain of one node to many, and one that takes all of them.
IN_TEMPLATE = Template(
    nodes=(PlanNode(id="x", spec=0, args={"x": hole(item=True)}), *(task(name, "x") for name in NAMES), TAKER),
    last_nodes=("taker",),
)


def first_argument(lane: Lane, run: NodeRun) -> object:
    return [10, 20, 30] if run.node == "a" else next(iter(args(run).values()))


def test_what_is_prepared_for_one_is_not_given_to_another_of_the_same_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share the argument; a take-over prepares all of them before any is given what is its own."""
    of = plan(task("a"), each("all", "a", template="t"), templates={"t": IN_TEMPLATE})
    monkeypatch.setattr(identity, "_AT_ONCE", 3)
    with Rig(tmp_path, first_argument, hold=True, sizes=FEW) as rig:
        handle = rig.submit(of)
        items = [f"all[{number}]" for number in range(3)]
        for name in ("a", "all", *(f"{item}/x" for item in items)):
            rig.dispatch.let_one_go(name)
        for item, name in itertools.product(items, NAMES):
            rig.dispatch.let_one_go(f"{item}/{name}")
        rig.dispatch.wait_for(3)
        rig.restart(first_argument)
        assert value(over(rig.conductor.adopt(handle.id))) == [[10] * MANY, [20] * MANY, [30] * MANY]
        known = Recorded(rig.records, handle.id, rig.blobs)
        takers = [known.state.nodes[f"{item}/taker"] for item in items]
        assert len({identity.cache_key_of(known.state, known.values, taker) for taker in takers}) == 3
