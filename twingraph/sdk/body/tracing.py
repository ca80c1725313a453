"""`pipeline.compile()`: the static plan of a body, found by following it with symbolic values. No component is called.

The body is run from the top once for every combination of its decisions, the nearest to the first way first, within
limits. Whatever cannot be known becomes a dynamic region; a body that runs always has a plan.
"""

from __future__ import annotations

import ctypes
import dis
import inspect
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FunctionType, TracebackType
from typing import Any

from twingraph.core.errors import NodeFailed
from twingraph.core.static_plan import DYNAMIC, GUESSED, StaticNode, StaticPlan
from twingraph.sdk.body import tracing_loop
from twingraph.sdk.body.active import active
from twingraph.sdk.body.following import Follower
from twingraph.sdk.body.joining import join
from twingraph.sdk.body.quiet import quiet
from twingraph.sdk.body.rewriting import rewritten, whole_body_in_one_try
from twingraph.sdk.body.sites import forget, is_user_file
from twingraph.sdk.body.symbols import Facts, Symbol, facts_of
from twingraph.sdk.body.tracing_builtins import prepared
from twingraph.sdk.body.ways import Ended, Inner, Limits, Path, Tracing

_GRACE = 0.25  # seconds in which a body that is out of time may still end by itself

Arguments = Callable[[Follower], dict[str, Any]]


def compile_pipeline(
    pipeline: Any, *, limits: Limits | None = None, given: Mapping[str, Any] | None = None
) -> StaticPlan:
    """The plan. `given` are arguments that are known; every other parameter is symbolic."""
    forget()
    limits = limits or Limits()
    tracing = Tracing(limits)
    tracer = _Tracer(tracing)
    values = dict(given or {})
    ways: list[Path] = []
    thread = threading.Thread(target=tracer.top, args=(pipeline, values, ways), name="twingraph-compile", daemon=True)
    thread.start()
    _wait(thread, tracing)
    inner = join(ways)
    return StaticPlan(
        name=pipeline.name,
        nodes=inner.nodes,
        edges=inner.edges,
        parameters=_parameters(pipeline.fn),
        warnings=tuple(dict.fromkeys([*_one_try(pipeline.fn), *inner.warnings, *tracing.warnings])),
    )


def _wait(thread: threading.Thread, tracing: Tracing) -> None:
    """A body that does not return is told to; one that is deaf, in a call of its own, is left behind."""
    thread.join(tracing.limits.seconds + _GRACE)
    if not thread.is_alive():
        return
    tracing.stopped = True
    _out_of_time(tracing)
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Ended))
    thread.join(_GRACE)


def _out_of_time(tracing: Tracing) -> None:
    tracing.warn(f"not followed to the end: the time limit of {tracing.limits.seconds:g} s was reached")


class _Tracer:
    """Follows bodies, and those of the pipelines that they call."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._open: list[Any] = []
        self._known: dict[str, Inner] = {}

    def top(self, pipeline: Any, values: Mapping[str, Any], ways: list[Path]) -> None:
        names = [
            one.name
            for one in inspect.signature(pipeline.fn).parameters.values()
            if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        ]

        def arguments(follower: Follower) -> dict[str, Any]:
            unknown = {name: Symbol(Facts(follower, name)) for name in names if name not in values}
            return {**unknown, **values}

        with quiet(), suppress(Ended):
            self._explored(pipeline, arguments, ways)

    def nested(self, pipeline: Any, given: Mapping[str, Any]) -> Inner:
        """What is inside of a call of a pipeline. Its parameters stand for what they were given."""
        known = all(_is_plain(value) for value in given.values())
        if len(self._open) >= self._tracing.limits.depth or (pipeline.fn in self._open and not known):
            label = "calls itself again" if pipeline.fn in self._open else "deeper than is followed"
            return Inner((StaticNode(id="~", component=label, kind=DYNAMIC, platform="-"),))
        key = f"{id(pipeline.fn)}:{sorted((name, _shape(value)) for name, value in given.items())}"
        cacheable = all(_shape(value) is not None for value in given.values())
        if cacheable and key in self._known:
            return self._known[key]

        def arguments(follower: Follower) -> dict[str, Any]:
            return {name: _inside(value, name, follower) for name, value in given.items()}

        ways: list[Path] = []
        self._explored(pipeline, arguments, ways)
        inner = join(ways)
        if cacheable:
            self._known[key] = inner
        return inner

    def _explored(self, pipeline: Any, arguments: Arguments, ways: list[Path]) -> None:
        body = prepared(rewritten(pipeline.fn) or pipeline.fn)
        self._open.append(pipeline.fn)
        outer = active.caller
        try:
            self._explore(body, arguments, ways)
        finally:
            active.caller = outer
            self._open.pop()

    def _explore(self, body: FunctionType, arguments: Arguments, ways: list[Path]) -> None:
        waiting: deque[tuple[int, ...]] = deque([()])
        while waiting and not (ways and self._tracing.late):
            if len(ways) >= self._tracing.limits.paths:
                self._tracing.warn(f"more than {len(ways)} ways through {body.__name__}; the plan shows those followed")
                return
            path = Path(waiting.popleft())
            ways.append(path)
            self._follow(body, arguments, path)
            for at in range(len(path.wanted), len(path.taken)):
                waiting += [(*path.taken[:at], other) for other in range(1, len(path.decisions[at].reasons))]
        if waiting:
            _out_of_time(self._tracing)

    def _follow(self, body: FunctionType, arguments: Arguments, path: Path) -> None:
        in_loop = inspect.iscoroutinefunction(body)
        follower = Follower(self._tracing, path, self.nested, in_loop=in_loop)
        active.caller = follower
        try:
            followed(body, arguments(follower), follower)
        except Ended as end:
            if end.label is None:
                _out_of_time(self._tracing)
            follower.leave_open(end.label or "not followed further", _raised_at(end.__traceback__))
        except BaseException as error:  # a body may raise anything
            if isinstance(error, NodeFailed) or _is_raised(error):
                path.end = "raised"
            else:
                follower.leave_open(f"{GUESSED} data", _raised_at(error.__traceback__))


def followed(body: FunctionType, arguments: Mapping[str, Any], follower: Follower) -> None:
    """Where the author's frames begin: `sites` knows this function by its name."""
    result = body(**arguments)
    if inspect.iscoroutine(result):
        tracing_loop.run(result, follower.timer_of_task)


def _user_traceback(traceback: TracebackType | None) -> TracebackType | None:
    """The last entry in the author's own code."""
    found = None
    while traceback is not None:
        if is_user_file(traceback.tb_frame.f_code.co_filename):
            found = traceback
        traceback = traceback.tb_next
    return found


def _raised_at(traceback: TracebackType | None) -> str | None:
    found = _user_traceback(traceback)
    return None if found is None else f"{found.tb_frame.f_code.co_filename}:{found.tb_lineno}"


def _is_raised(error: BaseException) -> bool:
    """Whether a `raise` of the author brought it, not an operation that could not take a symbolic value."""
    found = _user_traceback(error.__traceback__)
    if found is None or found.tb_next is not None or found.tb_lasti < 0:
        return False
    return dis.opname[found.tb_frame.f_code.co_code[found.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")


# -- arguments -----------------------------------------------------------------------------------------


def _is_plain(value: Any) -> bool:
    shape = _shape(value)
    return shape is not None and "?" not in shape


def _shape(value: Any) -> str | None:
    """Equal for arguments with which a body is followed alike; None where that cannot be told."""
    if facts_of(value) is not None:
        return "?"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, str):
        return repr(value.replace("?", "??"))
    if isinstance(value, (list, tuple)):
        inner = [_shape(one) for one in value]
        return None if None in inner else f"{type(value).__name__}({', '.join(str(one) for one in inner)})"
    if isinstance(value, dict):
        return _shape(tuple(value.items()))
    return None


def _inside(value: Any, name: str, follower: Follower) -> Any:
    """An argument as the pipeline that is called sees it: nothing of it comes from a call of its own."""
    if facts_of(value) is not None:
        return Symbol(Facts(follower, name))
    if isinstance(value, list):
        return [_inside(one, f"{name}[{at}]", follower) for at, one in enumerate(value)]
    if type(value) is tuple:
        return tuple(_inside(one, f"{name}[{at}]", follower) for at, one in enumerate(value))
    if isinstance(value, dict):
        return {key: _inside(one, f"{name}[{key!r}]", follower) for key, one in value.items()}
    return value


# -- what is said beside the plan ----------------------------------------------------------------------


def _one_try(function: FunctionType) -> list[str]:
    line = whole_body_in_one_try(function)
    return [] if line is None else [f"the whole body sits in one try (line {line}): its calls run one after another"]


def _parameters(function: FunctionType) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, one in inspect.signature(function).parameters.items():
        about: dict[str, Any] = {"required": one.default is one.empty}
        if one.annotation is not one.empty:
            about["type"] = (
                one.annotation if isinstance(one.annotation, str) else inspect.formatannotation(one.annotation)
            )
        if one.default is not one.empty:
            try:
                about["default"] = json.dumps(one.default)
            except (TypeError, ValueError):
                about["default"] = json.dumps(repr(one.default))
        found[name] = about
    return found
