"""Many kinds of bodies to be planned.

The plan of each stands in its docstring, as `planning.drawn` draws it: nodes in order, `?` behind those that do not
always run, regions in brackets with their labels; then the edges, `>` with data, `-` without.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import twingraph
from twingraph import component, pipeline
from twingraph.sdk.base_component import BaseComponent
from twingraph.sdk.registry import Registry

OURS = Registry()


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


async def gathered() -> Any:
    """load load-2 work work-2
    load>work load-2>work work>work-2
    """
    first, second = await asyncio.gather(load(1), load(2))
    return await work(await work([first, second]))


async def in_time() -> Any:
    """load sleep work check sleep-2 total
    load-sleep load>work work>check check>total
    """
    found = await load()
    async with asyncio.timeout(5):
        found = await work(found)
    return await total(await asyncio.wait_for(check(found), 5))


async def out_of_time() -> Any:
    """load sleep sleep-2 check
    load-sleep sleep-check
    """
    await load()
    try:
        async with asyncio.timeout(5):
            await asyncio.sleep(10)
    except TimeoutError:
        return await check()


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
    handler_raises, named, in_data, parts, recursive, durable, waited, helped, closure, at_once, gathered, in_time,
    out_of_time, racing, unknown_key, not_for_symbols,
]  # fmt: skip
