"""Items of generators leave the worker while it still runs."""

from __future__ import annotations

import json

import pytest

from tests.integration.pool.conftest import Bench
from twingraph.dispatch.base import Begun, ItemsOut
from twingraph.executors.worker import OUTPUTS_AT_ONCE

# Each goes on when somebody has heard all that it gave so far.
SLOW = """
import os, time

def f():
    for number in range(8):
        yield number
        while number % 3 and not os.path.exists(f"heard {number}"):
            time.sleep(0.01)
"""
SLOW_ASYNC = """
import asyncio, os

async def f():
    for number in range(8):
        yield number
        while number % 3 and not os.path.exists(f"heard {number}"):
            await asyncio.sleep(0.01)
"""


def given(bench: Bench) -> list[ItemsOut]:
    return [report for report in bench.reports if isinstance(report, ItemsOut)]


@pytest.mark.parametrize("text", [SLOW, SLOW_ASYNC], ids=["sync", "async"])
async def test_a_slow_generators_items_come_soon(bench: Bench, text: str) -> None:
    take = bench.take

    def told(report: object) -> None:
        take(report)  # type: ignore[arg-type]
        for item in report.texts if isinstance(report, ItemsOut) else ():
            (bench.folder / f"heard {item}").touch()

    bench.pool.report = told
    outcome = await bench.run(text, generator=True)
    assert outcome.status == "completed"
    assert [item for report in given(bench) for item in report.texts] == [str(number) for number in range(8)]
    assert json.loads(outcome.texts[0]) == list(range(8))
    began = next(report for report in bench.reports if isinstance(report, Begun))
    assert (began.at, began.worker) == (outcome.started, outcome.worker)


async def test_a_quick_generator_sends_few_messages(bench: Bench) -> None:
    outcome = await bench.run("def f():\n    yield from range(100_000)\n", generator=True)
    assert outcome.outputs[0][2] > 65536
    messages = given(bench)
    assert [int(text) for message in messages for text in message.texts] == list(range(100_000))
    assert outcome.started is not None
    assert len(messages) <= (outcome.ended - outcome.started) / 0.02 + 2


async def test_what_was_sent_before_a_crash_stays(bench: Bench) -> None:
    outcome = await bench.run("import os\ndef f():\n    yield 1\n    os._exit(3)\n", generator=True)
    assert outcome.status == "crashed"
    assert [list(message.texts) for message in given(bench)] == [["1"]]


async def test_large_items_travel_as_references(bench: Bench) -> None:
    outcome = await bench.run("def f():\n    yield 'x' * 100_000\n    yield b'y' * 100_000\n", generator=True)
    texts = [text for message in given(bench) for text in message.texts]
    assert ['"rung":"json"' in texts[0], '"rung":"bytes"' in texts[1]] == [True, True]
    assert '"rung":"list"' in outcome.texts[0]


async def test_a_forked_child_has_no_voice(bench: Bench) -> None:
    text = "import os\ndef f():\n    yield 1\n    yield 2\n"
    text += "    if os.fork():\n        os.wait()\n        yield 3\n    yield 4\n"
    outcome = await bench.run(text, generator=True)
    assert outcome.texts == ["[1,2,3,4]"]
    assert [text for message in given(bench) for text in message.texts] == ["1", "2", "3", "4"]


async def test_a_generator_prints_and_is_ended_at_its_limit(bench: Bench) -> None:
    text = "#entry f\ndef f():\n    print('so far')\n    yield 1\n    while True: pass\n"
    bench.submit(bench.write(text), "f", ["n"], generator=True)
    await bench.until(lambda: bool(given(bench) and bench.lines()))
    bench.time_is_up("n")
    await bench.until(lambda: "n" in bench.outcomes())
    assert bench.outcomes()["n"].status == "timeout"
    assert [list(message.texts) for message in given(bench)] == [["1"]]
    assert bench.lines() == [("info", "stdout", "so far")]
    assert sum(isinstance(report, Begun) for report in bench.reports) == 1


async def test_a_generator_that_is_closed_early_ends_in_its_own_way(bench: Bench) -> None:
    text = "def f():\n    try:\n        yield lambda: 1\n    finally:\n        print('closed')\n"
    outcome = await bench.run(text, generator=True)
    assert outcome.error is not None
    assert outcome.error.code == "invalid_output"
    assert "output[0]" in outcome.error.message
    assert ("info", "stdout", "closed") in bench.lines()


async def test_the_items_of_a_large_map_come_whole_and_in_order(bench: Bench) -> None:
    code = bench.write("")
    bench.submit(code, "builtin:expand", ["m"], {"items": list(range(2 * OUTPUTS_AT_ONCE + 1))})
    await bench.until(lambda: "m" in bench.outcomes())
    outcome = bench.outcomes()["m"]
    assert [name for name, _, _ in outcome.outputs] == list(outcome.texts)
    assert list(outcome.texts) == [str(number) for number in range(2 * OUTPUTS_AT_ONCE + 1)]
