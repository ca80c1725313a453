"""Pipelines as `async def`: tasks, failures in them, time limits and races."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.pipelines.case import Case
from tests.pipelines.effects import effect
from twingraph import as_completed, component, gather, pipeline, sleep, wait_any, wait_for_signal


@component
async def fetch(x: int) -> int:
    effect("fetch", x)
    return x * 10


@component
async def fail(text: str) -> int:
    effect("fail", text)
    raise ValueError(text)


@component
async def counting(n: int) -> AsyncIterator[int]:
    effect("counting", n)
    for x in range(n):
        yield x
    if n > 3:
        raise ValueError("too far")


@component
async def stop_at(x: int) -> bool:
    effect("stop_at", x)
    return x >= 3


@pipeline
async def awaited() -> int:
    a = await fetch(1)
    return await fetch(a)


@pipeline
async def gathered() -> list[int]:
    return list(await asyncio.gather(fetch(1), fetch(2), fetch(3)))


async def _twice(x: int) -> int:
    return await fetch(await fetch(x))


@pipeline
async def gathered_tasks() -> list[int]:
    return await asyncio.gather(*[_twice(x) for x in range(3)])


@pipeline
async def gathered_failure() -> list[int]:
    return list(await asyncio.gather(fetch(1), fail("one of them")))


@pipeline
async def gathered_with_exceptions() -> list[Any]:
    results: list[Any] = list(await asyncio.gather(fetch(1), fail("kept"), return_exceptions=True))
    return [results[0], isinstance(results[1], ValueError), results[1].args[0]]


@pipeline
async def gathered_with_exceptions_in_a_try() -> list[Any]:
    try:
        results: list[Any] = list(await asyncio.gather(fetch(1), fail("kept"), return_exceptions=True))
        return [results[0], results[1].args[0]]
    except ValueError:
        return ["raised"]


@pipeline
async def calls_as_tasks_in_a_try() -> list[Any]:
    try:
        tasks = [asyncio.create_task(_twice(x)) for x in range(2)]
        good, bad = asyncio.ensure_future(_twice(3)), asyncio.create_task(_failing(1))
        await good
        return [await task for task in tasks] + [await bad]
    except ValueError as error:
        return [error.args[0]]


@pipeline
async def caught() -> str:
    try:
        await fail("awaited")
    except ValueError as error:
        return str(error.args[0])
    return "missed"


@pipeline
async def leaves() -> int:
    await fetch(1)
    return await fail("out")


@pipeline
async def named_tasks() -> list[int]:
    first = asyncio.create_task(_twice(1))
    second = asyncio.create_task(_twice(2))
    return [await second, await first]


@pipeline
async def task_group() -> list[int]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_twice(x)) for x in range(2)]
    return [task.result() for task in tasks]


async def _failing(x: int) -> int:
    return await fail(f"task {x}")


@pipeline
async def task_group_that_fails() -> list[str]:
    seen: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_failing(1))
    except* ValueError as errors:
        seen += [str(error.args[0]) for error in errors.exceptions]
    return seen


@pipeline
async def sleeps() -> int:
    await asyncio.sleep(0.01)
    await sleep(0.01)
    return await fetch(1)


async def _after(seconds: float, x: int) -> int:
    await asyncio.sleep(seconds)
    return await fetch(x)


@pipeline
async def sleepers_in_order() -> list[int]:
    order: list[int] = []

    async def one(seconds: float, x: int) -> None:
        await asyncio.sleep(seconds)
        order.append(x)  # before its call, whose end depends on workers
        await fetch(x)

    await asyncio.gather(one(0.2, 1), one(0.05, 2), one(0.4, 3))
    return order


@pipeline
async def waited_too_long() -> str:
    try:
        await asyncio.wait_for(wait_for_signal("never"), 0.02)
    except TimeoutError:
        return f"late {await fetch(1)}"
    return "came"


@pipeline
async def waited_in_time() -> int:
    return await asyncio.wait_for(fetch(4), 1000)


@pipeline
async def timeout_block() -> list[Any]:
    seen: list[Any] = []
    try:
        async with asyncio.timeout(5):
            seen.append(await fetch(1))
            await wait_for_signal("never")
    except TimeoutError:
        seen.append("late")
    return seen


@pipeline
async def race() -> list[int]:
    tasks = [asyncio.create_task(_after(0.01, 1)), asyncio.create_task(_after(1000, 2))]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return [task.result() for task in done]


async def _in_turn(x: int, turns: list[asyncio.Event]) -> int:
    """Each waits for the one before, so that they end in their order however long a worker takes."""
    await turns[x - 1].wait()
    value = await fetch(x)
    await asyncio.sleep(0.001 * x)
    turns[x].set()
    return value


def _turns(count: int) -> list[asyncio.Event]:
    turns = [asyncio.Event() for _ in range(count + 1)]
    turns[0].set()
    return turns


@pipeline
async def as_they_end() -> list[int]:
    turns = _turns(2)
    tasks = [asyncio.create_task(_in_turn(x, turns)) for x in (2, 1)]
    return [await one for one in asyncio.as_completed(tasks)]


@pipeline
async def coroutines_as_they_end() -> list[int]:
    """Which `asyncio.as_completed` puts into a set before it starts them."""
    turns = _turns(3)
    return [await one for one in asyncio.as_completed([_in_turn(x, turns) for x in (3, 1, 2)])]


@component
def add(a: int, b: int) -> int:
    effect("add", a, b)
    return a + b


@pipeline
async def handles_in_a_loop() -> list[Any]:
    """Plain components too, awaited or handed on as they are."""
    a: Any = add(1, 2)
    b: Any = add(3, 4)
    c: Any = add(a, b)
    both = await gather(a, b)
    first = await wait_any([c, add(a, b)])
    ended = sorted([await one for one in as_completed([add(x, 0) for x in range(3)])])
    none: list[Any] = [await one for one in as_completed([])]
    return [both, await c, await first, ended, none, await asyncio.gather(a, b)]


@pipeline
async def tried_in_a_loop() -> list[Any]:
    seen: list[Any] = []
    try:
        add(1, 1)
        unused: Any = fail("not awaited, and met all the same")
        seen.append(f"not reached with {unused}")
    except ValueError as error:
        seen.append(error.args[0])
    finally:
        last: Any = add(2, 2)
        seen.append(await last)
    return seen


@pipeline
def below(x: int) -> int:
    return add(x, 1)


@pipeline
async def fails_below(x: int) -> int:
    await fetch(x)
    raise ValueError("below")


@pipeline
async def pipelines_in_a_try() -> list[Any]:
    first: Any = below(1)
    seen: list[Any] = [await first]
    try:
        await fails_below(2)
    except ValueError as error:
        seen.append(error.args[0])
    return seen


@pipeline
async def until() -> int:
    x = 0
    while not await stop_at(x):
        x += 1
    return x


@pipeline
async def shielded_by_finally() -> list[Any]:
    seen = []
    try:
        try:
            seen.append(await fail("x"))
        finally:
            seen.append(await fetch(2))
    except ValueError:
        seen.append(0)
    return seen


@pipeline
async def inner(x: int) -> int:
    return await fetch(x) + 1


@pipeline
async def pipelines_side_by_side() -> list[int]:
    return list(await asyncio.gather(inner(1), inner(2)))


async def _numbers(n: int) -> Any:
    for x in range(n):
        yield await fetch(x)


@pipeline
async def async_generator() -> list[int]:
    return [x + 1 async for x in _numbers(3)]


@pipeline
async def items_of_a_generator() -> list[Any]:
    got: list[Any] = [x + 1 async for x in counting(3)]
    async for x in counting(3):
        if x == 2:
            break
        got.append(await fetch(x))
    try:
        async for x in counting(4):
            got.append(x)
    except ValueError as error:
        got.append(str(error))
    return got


@pipeline
async def events_and_queues() -> list[int]:
    queue: asyncio.Queue[int] = asyncio.Queue()
    ready = asyncio.Event()

    async def produce() -> None:
        for x in range(2):
            await queue.put(await fetch(x))
        ready.set()

    producer = asyncio.create_task(produce())
    got = [await queue.get(), await queue.get()]
    await ready.wait()
    await producer
    return got


@pipeline
async def a_semaphore() -> list[int]:
    gate = asyncio.Semaphore(1)

    async def one(x: int) -> int:
        async with gate:
            return await fetch(x)

    return list(await asyncio.gather(one(1), one(2)))


@pipeline
async def cancelled_task() -> list[Any]:
    seen: list[Any] = []

    async def waits() -> None:
        try:
            await wait_for_signal("never")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = asyncio.create_task(waits())
    seen.append(await fetch(1))
    await asyncio.sleep(0.01)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        seen.append(await fetch(2))
    return seen


@pipeline
async def tasks_of_calls() -> list[int]:
    first = asyncio.create_task(fetch(1))
    async with asyncio.TaskGroup() as group:
        second = group.create_task(fetch(2))
    return [await first, second.result()]


async def _guarded(x: int) -> int:
    try:
        return await fetch(x) if x else await fail("nothing")
    except ValueError:
        return await fetch(-1)


@pipeline
async def guarded_tasks() -> list[int]:
    return await asyncio.gather(*[_guarded(x) for x in range(3)])


@pipeline
async def left_generators() -> list[Any]:
    seen: list[Any] = []
    closed = asyncio.Event()

    async def pages(name: str) -> Any:
        try:
            yield await fetch(1)
            yield await fetch(2)
        finally:
            seen.append([name, await fetch(3)])
            closed.set()

    async for page in pages("broken off"):
        seen.append(page)
        break
    await closed.wait()
    kept = pages("kept to the end")
    seen.append(await kept.__anext__())
    return seen


CASES = (
    Case(awaited),
    Case(gathered),
    Case(gathered_tasks),
    Case(gathered_failure, eager=True),
    Case(gathered_with_exceptions),
    Case(gathered_with_exceptions_in_a_try),
    Case(calls_as_tasks_in_a_try),
    Case(caught),
    Case(leaves),
    Case(named_tasks),
    Case(task_group),
    Case(task_group_that_fails),
    Case(sleeps),
    Case(sleepers_in_order),
    Case(waited_too_long),
    Case(waited_in_time),
    Case(timeout_block),
    Case(race, eager=True),
    Case(as_they_end),
    Case(coroutines_as_they_end),
    Case(handles_in_a_loop, twin=lambda: [[3, 7], 10, 10, [0, 1, 2], [], [3, 7]]),
    Case(tried_in_a_loop, twin=lambda: ["not awaited, and met all the same", 4]),
    Case(pipelines_in_a_try, twin=lambda: [2, "below"]),
    Case(until),
    Case(shielded_by_finally),
    Case(pipelines_side_by_side),
    Case(async_generator),
    Case(items_of_a_generator),
    Case(events_and_queues),
    Case(a_semaphore),
    Case(cancelled_task),
    Case(tasks_of_calls),
    Case(guarded_tasks, eager=True),
    Case(left_generators),
)
