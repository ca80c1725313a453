"""`compile()` never fails: whatever a body does with what is not known, it has a plan, and nothing is heard of it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.sdk.body.planning import planned, planned_in_time
from tests.unit.sdk.body.traced_bodies import chain, load, total, work
from twingraph.core.static_plan import DYNAMIC, StaticNode, StaticPlan

REBOUND: Any = None

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
FAIL = ("raise", "ends")


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
        plan = planned_in_time(one, 1, lambda plan: plan.nodes and (_ends_of(plan) or name in FAIL))
        assert plan.nodes[0].id == "load"
        assert _ends_of(plan) or name in FAIL


def _ends_of(plan: StaticPlan) -> list[StaticNode]:
    return [node for node in plan.nodes if node.id == "total" or node.kind == DYNAMIC]


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
