"""Bodies with `try` and `with`, which wait where plain Python would have failed. They join those of `plain_bodies`."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from tests.unit.sdk.body.plain_bodies import BODIES as BODIES
from tests.unit.sdk.body.plain_bodies import Async, body, noted
from tests.unit.sdk.body.world import Failure, Other, World


@body
def otherwise(w: World) -> Any:
    try:
        x = w.call(4)
    except Failure:
        w.note("except")
    else:
        w.note("else")
        return x + 1
    finally:
        w.note("finally")


@body
def fallback(w: World) -> Any:
    try:
        x = w.fail(1)
    except Failure:
        x = w.call(2)
    return x + 1


@body
def nested(w: World) -> Any:
    try:
        try:
            w.other(1)
        except ValueError:
            w.note("no")
        finally:
            w.note("inner")
        w.note("not here")
    except Other:
        w.note("outer")
    return "end"


@body
def handled_inside(w: World) -> Any:
    try:
        a = w.call(1)
        try:
            w.fail(2)
        except Failure:
            b = w.call(3)
        return [a, b]
    except Failure:
        return "twice"


@body
def handled_inside_with(w: World) -> Any:
    with noted(w):
        a = w.call(1)
        try:
            w.fail(2)
        except Failure:
            w.note("met")
        return a


@body
def handler_fails(w: World) -> Any:
    try:
        try:
            w.fail(1)
        except Failure:
            w.other(2)
        finally:
            w.note("finally")
    except Other as error:
        return [error.args, error.__context__ is not None]


@body
def reraised(w: World) -> Any:
    try:
        try:
            w.fail(1)
        except Failure:
            w.note("again")
            raise
    except Failure:
        return "outer"


@body
def finally_waits(w: World) -> Any:
    try:
        w.fail(1)
    finally:
        w.note("finally")


@body
def finally_before_raise(w: World) -> Any:
    try:
        w.fail(1)
        raise ValueError("later")
    finally:
        w.note("finally")


@body
def finally_overrides(w: World) -> Any:
    with contextlib.suppress(Failure):
        try:
            w.fail(1)
        finally:
            w.call(1)
    for _ in [1]:
        try:
            w.fail(2)
        except Failure:
            continue
        finally:
            w.note("out")
    return "end"


@body
def finally_on_return(w: World) -> Any:
    try:
        return w.fail(1)
    finally:
        w.note("finally")


@body
def else_waits_before_finally(w: World) -> Any:
    try:
        w.call(1)
    except Failure:
        w.note("no")
    else:
        w.fail(2)
    finally:
        w.note("finally")


@body
def suppressed(w: World) -> Any:
    x = None
    with contextlib.suppress(Failure):
        x = w.call(1)
        w.fail(2)
    return x


@body
def raises(w: World) -> Any:
    with pytest.raises(Failure) as caught:
        w.fail(7)
    return caught.value.args


@body
def with_returns(w: World) -> Any:
    with noted(w) as inner:
        return inner.call([1])


@body
def with_twice(w: World) -> Any:
    with noted(w, "a"), noted(w, "b"):
        w.fail(1)


@body
def with_inside_try(w: World) -> Any:
    try:
        with noted(w):
            w.fail(1)
            w.note("not here")
    except Failure:
        return "met"


@body
def with_item_fails(w: World) -> Any:
    try:
        with noted(w, w.fail("x")):
            w.note("not here")
    except Failure:
        return "met"


@body
def matched_inside_try(w: World) -> Any:
    try:
        match w.fail(1):
            case _:
                w.note("not here")
    except Failure:
        return "met"


@body
def groups(w: World) -> Any:
    try:
        raise ExceptionGroup("many", [ValueError(1), w.plain(w.call(Failure(2))) or Failure(2)])
    except* ValueError:
        w.note("value")
    except* Failure:
        w.note("failure")
    return "end"


@body
def groups_and_finally(w: World) -> Any:
    try:
        w.fail(1)
        w.note("not here")
    except* Failure as group:
        w.note(len(group.exceptions))
    finally:
        w.note("finally")
    return "end"


@body
async def async_with(w: World) -> Any:
    async with Async(w) as inner:
        inner.other(1)
    try:
        async with Async(w):
            w.fail(2)
    except Failure:
        return "met"
