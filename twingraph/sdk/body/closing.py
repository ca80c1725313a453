"""From the top of a body to its end: the arguments in, what it returned or raised out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twingraph.core.bodies import Opened
from twingraph.core.events import GraphClosed
from twingraph.core.outputs import take_apart
from twingraph.core.plan import Argument
from twingraph.sdk.body.arguments import Coder, Writing
from twingraph.sdk.body.body import Body
from twingraph.sdk.body.handles import Handle
from twingraph.sdk.body.stopping import BodyMismatched, BodyStopped


def closed(
    body: Body, function: Callable[..., Any], opened: Opened, coder: Coder
) -> tuple[GraphClosed, BaseException | None]:
    """Run it to its end; the event that says how it ended. BodyStopped when it was not to go on."""
    try:
        return _ended(body, function, opened, coder)
    except BodyMismatched as stopped:
        if body.stopped is not stopped:  # nor is it to end in this way
            raise body.stopped or stopped from None
        left = stopped.error.with_traceback(stopped.__traceback__)
        return _failed(body, left, coder), left


def _ended(
    body: Body, function: Callable[..., Any], opened: Opened, coder: Coder
) -> tuple[GraphClosed, BaseException | None]:
    try:
        value = _run(body, function, opened, coder)
        event = _returned(body, value, coder)
    except BodyStopped:
        raise
    except BaseException as error:  # the author's code: whatever it raises ends this scope and nothing else
        if body.stopped is not None:
            raise body.stopped from None
        from twingraph.sdk.body.describing import looked_through  # most bodies return

        looked = looked_through(error)
        _has_repeated_all(body, error)
        left = body.unwound(looked)
        return _failed(body, left, coder), left
    if body.stopped is not None:  # it held on to what should have ended it
        raise body.stopped
    return event, None


def _has_repeated_all(body: Body, error: BaseException) -> None:
    """What the body itself raises while its history goes on is a mismatch. An interrupt is none, nor what this machine
    lacks, or cannot carry out, as with a value whose class is gone. Other tasks of the body may have got further."""
    left = body.history.left_of("")
    if left and not isinstance(error, (KeyboardInterrupt, MemoryError, RecursionError, ImportError)):
        from twingraph.sdk.body.describing import raised_at, words_of

        place = raised_at(error)
        if place is not None:
            body.history.mismatch(left[0], f"raises {words_of(error)}", place, error)


def _failed(body: Body, error: BaseException, coder: Coder) -> GraphClosed:
    from twingraph.sdk.body.describing import describe

    return GraphClosed(body.scope, error=describe(error, coder), met=tuple(body.met))


def _run(body: Body, function: Callable[..., Any], opened: Opened, coder: Coder) -> Any:
    arguments = {name: coder.decode(text) for name, text in opened.arguments}
    return body.finish(function(**arguments))


def _returned(body: Body, value: Any, coder: Coder) -> GraphClosed:
    left = body.history.left()
    if left:
        body.history.mismatch(left[0], "has come to its end", None)
    writing = Writing(coder, body.kinds, body.given.origin)
    event = _result(body, value, coder, writing)
    for node, _, output in writing.edges:
        if output is not None:
            body.expect(node, output)
    return event


def _result(body: Body, value: Any, coder: Coder, writing: Writing) -> GraphClosed:
    if type(value) is Handle:
        return GraphClosed(body.scope, writing.argument("result", value), met=tuple(body.met))
    shape, parts = take_apart(value, coder.class_name)
    written: list[tuple[str, Argument]] = [(name, writing.argument(name, part)) for name, part in parts]
    if shape == "plain":
        return GraphClosed(body.scope, written[0][1], met=tuple(body.met))
    return GraphClosed(body.scope, met=tuple(body.met), shape=shape, outputs=tuple(written))
