"""`compile()`: what is planned of many kinds of bodies; that it has limits, never fails, and says the same each time.

The plan of a body stands in its docstring: nodes in order, `?` behind those that do not always run, regions in brackets
with their labels; then the edges, `>` with data, `-` without.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

import twingraph
from twingraph import component, pipeline
from twingraph.core.static_plan import DYNAMIC, StaticNode, StaticPlan
from twingraph.sdk.base_component import BaseComponent
from twingraph.sdk.body.tracing import compile_pipeline
from twingraph.sdk.body.ways import Limits
from twingraph.sdk.registry import Registry

OURS = Registry()
REBOUND: Any = None
ASLEEP = threading.Event()


def declared(function: Callable[..., Any]) -> Any:
    return component(registry=OURS)(function)


class Loaded(NamedTuple):
    chunks: list[int]
    number: int


def never() -> Any:
    raise AssertionError("a component was called")


@declared
def load(source: Any = None) -> Loaded:
    return never()  # type: ignore[no-any-return]


@declared
def work(data: Any = None) -> Any:
    return never()


@declared
def total(results: Any = None) -> Any:
    return never()


@declared
def check(value: Any = None) -> Any:
    return never()


@declared
def mend(value: Any = None, why: Any = None) -> Any:
    return never()


class Fetch(BaseComponent):
    def execute(self, url: str) -> Any:
        return never()


@pipeline(registry=OURS)
def part(value: Any) -> Any:
    found = load(value)
    return work(found.number)


@pipeline(registry=OURS)
def down(number: Any) -> Any:
    if number == 0:
        return check(number)
    return down(work(number))


@dataclass
class Order:
    item: Any


# -- bodies --------------------------------------------------------------------------------------------


def reference() -> Any:
    """load [for each of load.chunks: work] total
    load>work work>total
    """
    raw_data = load(source="s3://bucket/data.csv")
    results = []
    for chunk in raw_data["outputs"]["chunks"]:
        result = work(data=chunk, parent_hash=raw_data["hash"])
        results.append(result)
    return total(
        results=[r["outputs"]["data"] for r in results],
        parent_hashes=[r["hash"] for r in results],
    )


def chain() -> Any:
    """load work total
    load>work work>total
    """
    return total(work(load("x")))


def diamond(start: Any) -> Any:
    """load work check total
    load>work load>check work>total check>total
    """
    first = load(start)
    return total([work(first.chunks), check(first.number)])


def branch(flag: Any) -> Any:
    """work? check? total
    work>total check>total
    """
    found = work(1) if flag else check(2)
    return total(found)


def early_return() -> Any:
    """load work? total?
    load>work work>total
    """
    found = load()
    if found.number == 0:
        return None
    return total(work(found))


def early_raise() -> Any:
    """load check? total
    load>check load>total
    """
    found = load()
    if found.number < 0:
        check(found)
        raise ValueError("no count")
    return total(found)


def same_question_twice(flag: Any) -> Any:
    """work? check?"""
    if flag:
        work(1)
    if flag:
        check(1)


def nested_questions(a: Any, b: Any) -> Any:
    """work? check? total"""
    if a and b:
        work()
    elif a or b:
        check()
    return total()


def none_or_not() -> Any:
    """load mend? total
    load-mend load>total mend>total
    """
    found = load()
    if found is None:
        found = mend()
    return total(found)


def kinds() -> Any:
    """load work? check?
    load>work load>check
    """
    found = load()
    if isinstance(found, dict):
        return work(found)
    return check(found)


def chosen_by_match() -> Any:
    """load work? check?
    load-work load-check
    """
    match load().number:
        case 1:
            work()
        case 2:
            check()


def matched_by_shape() -> Any:
    """load [depends on the shape of load]"""
    match load():
        case {"a": found}:
            work(found)
        case [first, *_]:
            check(first)


def again_each() -> Any:
    """load [for each of load: work check] total
    load>work work>check work>total check>total
    """
    found = [work(item) for item in load()]
    more = [check(one) for one in found]
    return total([sum(more), max(found)])


@pipeline(registry=OURS)
async def _side(value: Any) -> Any:
    return await work(value)


async def side_by_side() -> Any:
    """_side _side/work load _side-2 _side-2/work
    load>_side-2
    """
    return await asyncio.gather(_side(1), _side(await load()))


def asks_the_failure() -> Any:
    """load mend?"""
    try:
        return load()
    except LookupError as error:
        if error.code == 3:  # type: ignore[attr-defined]
            return mend(error.where)  # type: ignore[attr-defined]
        raise


def until_done() -> Any:
    """load [repeats, as work.more decides: work?]? total
    load>work load>total work>total
    """
    found = load()
    while found.more:
        found = work(found)
    return total(found)


def until_break() -> Any:
    """work [repeats, as work-2.done decides: check? work-2?]? total
    work>check work>total work-2>total
    """
    while True:
        found = work()
        if found.done:
            break
        check(found)
    return total(found)


def fixed_loop() -> Any:
    """work work-2 work-3 total
    work>total work-2>total work-3>total
    """
    return total([work(number) for number in range(3)])


def question_in_fixed_loop() -> Any:
    """work check? work-2 check-2?
    work-check work-2-check work-work-2 work-2-check-2
    """
    for number in range(2):
        if work(number).good:
            check(number)


def filtered() -> Any:
    """load [for each of load.chunks: work?] total
    load>work load-total work>total
    """
    return total([work(chunk) for chunk in load().chunks if chunk.good])


def collected_first() -> Any:
    """load [for each of load.chunks: work] total
    load>work work>total
    """
    chunks = list(load().chunks)
    return total([work(chunk) for chunk in chunks])


def how_many() -> Any:
    """load [for each of load.chunks: work] check? total
    load>work work>check work>total
    """
    found = [work(chunk) for chunk in load().chunks]
    if len(found) > 3:
        check(len(found))
    return total(found)


def each_of_each() -> Any:
    """load [for each of load: work [for each of work: check]]
    load>work work>check
    """
    for row in load():
        for cell in work(row):
            check(cell)


def counted() -> Any:
    """load work? [for each of sorted(load.chunks): check] [for each of zip(load.chunks, list): total]
    load>work load>check load>total
    """
    found = load()
    if len(found.chunks) > 10:
        work(found)
    for at, chunk in enumerate(sorted(found.chunks)):
        check(chunk + at)
    for left, right in zip(found.chunks, [1, 2, 3], strict=False):
        total([left, right])


def unpacked() -> Any:
    """load work total
    load>work load>total work>total
    """
    first, second = load()
    head, *rest = work(first)
    return total([head, rest, second])


def as_number() -> Any:
    """load [depends on int(load.number): work total]
    load-work
    """
    found = load()
    for _ in range(int(found.number)):
        work()
    return total()


def as_text() -> Any:
    """load work? check
    load-work load>check
    """
    found = load()
    if str(found.number) == "3":
        work(f"{found.number}/x")
    return check(str(found))


def fallback() -> Any:
    """load work mend? total
    load>work work>total mend>total
    """
    try:
        found = load()
        found = work(found)
    except ValueError as error:
        found = mend(why=str(error))
    return total(found)


def two_handlers() -> Any:
    """load mend? check? work"""
    try:
        found = load()
    except KeyError:
        found = mend()
    except (OSError, TimeoutError):
        found = check()
    finally:
        work()
    return found


def tried_again() -> Any:
    """load sleep? load-2? sleep-2? load-3? sleep-3?
    sleep-load-2 sleep-2-load-3
    """
    for attempt in range(3):
        try:
            return load(attempt)
        except Exception:
            twingraph.sleep(attempt)
    raise RuntimeError("never")


def handler_raises() -> Any:
    """load total mend?"""
    try:
        load()
    except Exception:
        mend()
        raise
    return total()


def named() -> Any:
    """first second second/load second/work Fetch part
    first>second first>Fetch first>part second/load>second/work
    """
    first = load.options(id="first")()
    part.options(id="second")(first)
    Fetch({"a": 1})(url=first.chunks)
    return part.options(detached=True)(first.number)


def in_data() -> Any:
    """load work total
    load>total work>total
    """
    return total({"a": [Order(load().number)], "b": (work(), 1)})


def parts() -> Any:
    """part part/load part/work load part-2 part-2/load part-2/work total
    load>part-2 part>total part-2>total part/load>part/work part-2/load>part-2/work
    """
    return total([part(1), part(load())])


def recursive(number: Any) -> Any:
    """down down/check? down/work? down/down? [calls itself again]
    down/work>down/down
    """
    return down(number)


def durable() -> Any:
    """sleep load sleep-2 wait_for_signal str? total
    sleep-load load>sleep-2 sleep-2-wait_for_signal wait_for_signal>str wait_for_signal-total str-total
    """
    twingraph.sleep(3)
    twingraph.sleep(load().number)
    answer = twingraph.wait_for_signal("go", timeout=3)
    if answer.ok and twingraph.random() > 0.5:
        twingraph.side_effect(str, answer)
    return total([twingraph.now(), str(twingraph.uuid4())])


def waited() -> Any:
    """load work check check-2 timeout total
    load>check work>check load>check-2 work>check-2 load>total work>total
    """
    one, two = load(), work()
    values = twingraph.gather(one, two)
    first = twingraph.wait_any(one, two)
    for late in twingraph.as_completed([one, two]):
        check(late)
    return total([values, first, one.result(timeout=3)])


def helped() -> Any:
    """load [for each of load.chunks: work?]? total
    load>work load-total work>total
    """
    return total(_helper(load()))


def _helper(found: Any) -> Any:
    if len(found.chunks) > 3:
        return [work(chunk) for chunk in found.chunks]
    return []


def closure() -> Any:
    """load work work-2 total
    load>work load>work-2 work>total work-2>total
    """
    found = load()

    def inner(value: Any, other: Any = found) -> Any:
        return work([value, other, found.number])

    return total(list(map(inner, [1, 2])))


async def at_once() -> Any:
    """load@1 sleep@1 load@2 sleep@2 work@1 work@2 total
    load@1-sleep@1 load@2-sleep@2 load@1>work@1 sleep@1-work@1 load@2>work@2 sleep@2-work@2 work@1>total
    work@2>total
    """

    async def one(value: Any) -> Any:
        found = await load(value)
        await asyncio.sleep(3)
        return await work(found)

    first, second = await asyncio.gather(one(1), one(2))
    return await total([first, second])


async def racing() -> Any:
    """load check@2 work [for each of work: check] total
    work>check load>total check@2>total
    """
    first = asyncio.ensure_future(load())
    done, _ = await asyncio.wait([first, asyncio.create_task(_one())], return_when=asyncio.FIRST_COMPLETED)
    async for item in work():
        check(item)
    return await total([one.result() for one in done])


async def _one() -> Any:
    return await check()


def unknown_key() -> Any:
    """load [depends on a key made of load.number: [depends on data]]"""
    table = {"a": 1}
    found = load()
    work(table[found.number])
    return total()


def not_for_symbols() -> Any:
    """load check [depends on data]"""
    found = load()
    check()
    json.dumps(found)
    return total()


BODIES = [
    reference, chain, diamond, branch, early_return, early_raise, same_question_twice, nested_questions, none_or_not,
    kinds, chosen_by_match, matched_by_shape, again_each, side_by_side, asks_the_failure, until_done, until_break,
    fixed_loop, question_in_fixed_loop, filtered, collected_first,
    how_many, each_of_each, counted, unpacked, as_number, as_text, fallback, two_handlers, tried_again,
    handler_raises, named, in_data, parts, recursive, durable, waited, helped, closure, at_once, racing,
    unknown_key, not_for_symbols,
]  # fmt: skip


def planned(body: Callable[..., Any], **settings: Any) -> StaticPlan:
    settings.setdefault("limits", Limits(seconds=60))  # a busy machine must not change what is planned
    return compile_pipeline(pipeline(registry=OURS)(body), **settings)


def drawn(plan: StaticPlan) -> str:
    lines = [_nodes(plan, None)]
    regions = {node.id for node in plan.nodes if node.kind == DYNAMIC}
    edges = [edge for edge in plan.edges if edge.source not in regions and edge.target not in regions]
    if edges:
        drawn = [f"{edge.source}{'>' if edge.label == 'data_flow' else '-'}{edge.target}" for edge in edges]
        lines.append(" ".join(dict.fromkeys(drawn)))
    return "\n".join(lines)


def _nodes(plan: StaticPlan, region: str | None) -> str:
    return " ".join(_node(plan, node) for node in plan.nodes if node.region == region)


def _node(plan: StaticPlan, node: StaticNode) -> str:
    mark = "?" if node.conditional else ""
    if node.kind != DYNAMIC:
        return f"{node.id}{mark}"
    inside = _nodes(plan, node.id)
    return f"[{node.component}{': ' if inside else ''}{inside}]{mark}"


@pytest.mark.parametrize("body", BODIES)
def test_the_plan_of(body: Callable[..., Any]) -> None:
    assert drawn(planned(body)).split() == (body.__doc__ or "").split()


def test_the_plan_of_the_reference_in_full() -> None:
    plan = planned(reference)
    load_node, region, chunk, last = plan.nodes
    assert (region.kind, region.component, chunk.region, chunk.kind) == (
        "dynamic", "for each of load.chunks", region.id, "task",
    )  # fmt: skip
    assert (load_node.component, last.component, last.region) == ("load", "total", None)
    edges = [(edge.source, edge.target, edge.output, edge.param, edge.label) for edge in plan.edges]
    assert edges == [
        ("load", region.id, None, None, "control_flow"),
        ("load", "work", "chunks", "data", "data_flow"),
        ("work", "total", "data", "results", "data_flow"),
    ]
    lines = [int(str(node.place).rpartition(":")[2]) for node in plan.nodes]
    assert [line - lines[0] for line in lines] == [0, 2, 3, 5]


def test_a_condition_says_which_line_decides() -> None:
    plan = planned(branch)
    first = branch.__code__.co_firstlineno
    told = {node.id: node.conditional for node in plan.nodes}
    assert told["total"] is None
    line = first + 4  # below the docstring
    for node, reason in (("work", "if flag"), ("check", "if not flag")):
        condition = told[node]
        assert condition is not None
        assert (condition.reason, condition.place) == (reason, f"{__file__}:{line}")
    mended = next(node.conditional for node in planned(fallback).nodes if node.id == "mend")
    assert mended is not None
    assert mended.reason == f"when line {fallback.__code__.co_firstlineno + 5} fails"


def test_one_id_at_two_lines_is_two_nodes() -> None:
    def body(flag: Any) -> Any:
        if flag:
            work(1)
        found = load()
        work(2) if found.number else check(3)
        return [work(item) for item in found]

    plan = planned(body)
    first = body.__code__.co_firstlineno
    told = {node.id: (int(str(node.place).rpartition(":")[2]) - first, node.conditional is None) for node in plan.nodes}
    assert told == {
        "work": (2, False), "load": (3, True), "work-2": (4, False), "check": (4, False), f"~{first + 5}": (5, True),
        "work-3": (5, True),
    }  # fmt: skip

    def other(flag: Any) -> Any:
        if flag:
            return work(1)
        return work(2)

    line = other.__code__.co_firstlineno + 3
    assert [node.id for node in planned(other).nodes] == ["work", f"work:{line}"]


def test_parameters_are_listed_and_may_be_given() -> None:
    def body(flag: bool, count: int = 3) -> Any:
        return work(count) if flag else check()

    plan = planned(body)
    assert plan.parameters == {
        "flag": {"required": True, "type": "bool"},
        "count": {"required": False, "type": "int", "default": "3"},
    }
    assert [node.id for node in planned(body, given={"flag": False}).nodes] == ["check"]


@pytest.mark.parametrize("body", BODIES)
def test_a_plan_is_the_same_each_time_and_survives_json(body: Callable[..., Any]) -> None:
    plan = planned(body)
    assert planned(body) == plan
    assert StaticPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


# -- limits --------------------------------------------------------------------------------------------


def test_ways_are_limited_and_every_first_turn_is_taken() -> None:
    def body() -> Any:
        for number in range(20):
            if load(number).number:
                work.options(id=f"work-{number}")()

    plan = planned(body)
    assert any("more than 64 ways" in warning for warning in plan.warnings)
    assert sum(node.component == "work" for node in plan.nodes) == 20
    assert all(node.conditional for node in plan.nodes if node.component == "work")


def test_calls_are_limited() -> None:
    def body() -> Any:
        while True:
            work()

    plan = planned(body, limits=Limits(calls=50))
    assert [node.component for node in plan.nodes] == ["work"] * 50 + ["more than 50 calls"]
    assert plan.warnings == ("more than 50 calls on one way; the plan ends there",)


def spinning() -> Any:
    work()
    while True:
        pass


def asleep() -> Any:
    work()
    ASLEEP.wait(3)


@pytest.mark.parametrize("body", [spinning, asleep])
def test_a_body_that_does_not_return_has_a_plan_in_time(body: Callable[..., Any]) -> None:
    ASLEEP.clear()
    begun = time.monotonic()
    plan = planned(body, limits=Limits(seconds=0.1))
    ASLEEP.set()
    assert time.monotonic() - begun < 30
    assert plan.nodes[0].id == "work"
    assert plan.warnings == ("not followed to the end: the time limit of 0.1 s was reached",)


def test_sleeping_costs_nothing() -> None:
    def body() -> Any:
        time.sleep(1000)
        return work()

    begun = time.monotonic()
    assert drawn(planned(body)) == "work"
    assert time.monotonic() - begun < 30


def test_pipelines_in_pipelines_are_followed_to_a_depth() -> None:
    def body() -> Any:
        return down(3)

    def deep(number: int) -> Any:
        return deeper(number + 1)

    deeper = pipeline(registry=OURS)(deep)
    assert [node.id for node in planned(body).nodes][-1].startswith("down/down/")
    nodes = compile_pipeline(deeper, given={"number": 0}, limits=Limits(depth=3)).nodes
    assert [node.component for node in nodes] == ["deep", "deep", "deep", "calls itself again"]


# -- never fails ---------------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "hash": hash,
    "int": int,
    "float": float,
    "complex": complex,
    "str": str,
    "repr": repr,
    "bytes": bytes,
    "json": json.dumps,
    "isqrt": math.isqrt,
    "floor": math.floor,
    "round": round,
    "in a set": lambda value: {value, value},
    "as a key": lambda value: {"a": 1}[value],
    "star": lambda value: print(*value),
    "two stars": lambda value: dict(**value),
    "index": lambda value: [1, 2, 3][value],
    "slice": lambda value: [1, 2, 3][value:],
    "join": lambda value: ",".join(value),
    "format": lambda value: f"{value:>10.3f} %s" % value,
    "attribute": lambda value: value.a.b.c(1)[2],
    "assign": lambda value: setattr(value, "a", 1),
    "delete": lambda value: delattr(value, "a"),
    "sort": lambda value: sorted([value, 1, value]),
    "least": lambda value: min(value, 3) + max([value, 4]) + sum([value]),
    "any": lambda value: any([value, False]) and all(one for one in value),
    "divmod": lambda value: divmod(value, 3),
    "power": lambda value: 2**value,
    "next": lambda value: next(iter(value)),
    "next of it": lambda value: next(value),
    "reversed": lambda value: list(reversed(value)),
    "log": lambda value: logging.getLogger("body").error("%s", value),
    "raise": lambda value: (_ for _ in ()).throw(value),
    "compare": lambda value: 1 < value < 3 or [value] == [1] or value in [1, 2] or 3 in value,
    "ends": lambda value: exec("raise SystemExit(1)"),
    "open": lambda value: open(value),  # noqa: SIM115 - it is never opened
    "class": lambda value: type("C", (value,), {}),
    "call": lambda value: value(),
    "dict": lambda value: dict(value),
    "eval": lambda value: eval(value),
    "import": lambda value: __import__(value),
    "deep": lambda value: [value] * value,
    "lazy": lambda value: [one + 1 for one in (two for two in value)],
    "many": lambda value: [a for a in value for b in value for c in b],
    "bad call": lambda value: load(1, 2, 3),
    "unbound": lambda value: value_that_is_not_there,  # type: ignore[name-defined]  # noqa: F821
    "recursion": lambda value: OPERATIONS["recursion"](value),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_operation_on_a_value_that_is_not_known_stops_the_plan(name: str) -> None:
    operation = OPERATIONS[name]
    gc.collect()  # what others left would be taken down where the stack is at its end, and its callbacks would fail

    def body(given: Any) -> Any:
        found = load()
        operation(found)
        operation(found.number)
        operation(given)
        return total(found)

    async def other(given: Any) -> Any:
        found = await load()
        operation(found)
        operation(given)
        return await total(found)

    for one in (body, other):
        plan = planned(one, limits=Limits(seconds=1))
        assert plan.nodes[0].id == "load"
        last = [node for node in plan.nodes if node.id == "total" or node.kind == DYNAMIC]
        assert last or name in ("raise", "ends")


def test_bodies_that_raise_or_wait_outside_have_plans() -> None:
    def raising() -> Any:
        raise KeyError("at once")

    async def outside() -> Any:
        await load()
        await asyncio.get_running_loop().create_future()

    assert planned(raising).nodes == ()
    assert [node.component for node in planned(outside).nodes] == ["load", "depends on something outside"]


def test_nothing_is_heard_of_a_body(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> Any:
        print("printed")
        logging.getLogger("body").error("logged")
        return _loud()

    planned(body)
    heard = capsys.readouterr()
    assert heard.out + heard.err == ""


def _loud() -> Any:
    import sys

    print("printed")
    sys.stderr.write("written")
    return work()


def test_what_a_body_rebinds_in_its_module_stays() -> None:
    before = dict(globals())
    planned(_rebinds)
    assert globals() == before


def _rebinds() -> Any:
    global REBOUND
    REBOUND = load()
    return work(REBOUND)


def test_a_whole_body_in_one_try_is_warned_of() -> None:
    def body() -> Any:
        try:
            found = load()
            return work(found)
        except ValueError:
            return None

    line = body.__code__.co_firstlineno + 1
    expected = f"the whole body sits in one try (line {line}): its calls run one after another"
    assert planned(body).warnings == (expected,)


def test_a_call_that_does_not_fit_is_warned_of() -> None:
    def body() -> Any:
        return load(1, 2)

    plan = planned(body)
    assert [node.id for node in plan.nodes] == ["load"]
    assert "too many positional arguments" in plan.warnings[0]


def test_compiling_inside_a_body_leaves_its_caller_alone() -> None:
    from twingraph.sdk.body.active import active

    assert active.caller is None
    planned(chain)
    assert active.caller is None
