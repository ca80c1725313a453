"""A dispatch around another one: lanes that name secrets get their values, right before they are handed on."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from twingraph.core.errors import ErrorCode, SecretError, SecretUnavailable, TwinGraphError
from twingraph.core.recordclass import recordclass
from twingraph.core.records import ErrorRecord
from twingraph.core.secrets import MARK, MalformedReferenceError, expand, expand_tree, names_in, texts_in
from twingraph.dispatch.base import Dispatch, Lane, NodeRun, Outcome, Report, Returned, RunSettings
from twingraph.dispatch.secrets.lookup import Secrets

# Lanes whose secrets are waited for at the same time.
_THREADS = 8

Answer = str | TwinGraphError


@recordclass(frozen=False, kw_only=False)
class _Waiting:
    """A lane whose secrets are being asked for; `runs` are those that nobody has taken back."""

    lane: Lane
    runs: list[NodeRun]


_Job = tuple[_Waiting, dict[str, Answer], Sequence[str]]


class Resolving:
    """See `dispatch.base.Dispatch`. A lane without secrets passes as it is.

    `make` gives the providers when the first secret is named. Those that answer at once are asked on the loop.
    """

    def __init__(self, inner: Dispatch, make: Callable[[], Secrets]) -> None:
        self._inner = inner
        self._make = make
        self._secrets: Secrets | None = None
        self._waiting: list[_Waiting] = []
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = 0
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop
        self._report: Callable[[Report], None]

    async def start(self, report: Callable[[Report], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._report = report
        await self._inner.start(report)

    async def stop(self) -> None:
        self._stopped = True
        self._waiting.clear()
        for _ in range(self._threads):
            self._jobs.put(None)
        await self._inner.stop()

    def submit(self, lane: Lane) -> None:
        if not names_any(lane.settings, lane.runs) or lane.settings.entry.startswith("builtin:"):
            self._inner.submit(lane)
            return
        names = _names(lane)
        known: dict[str, Answer] = {}
        later: list[str] = []
        for name in names:
            answer = self._at_once(name)
            if answer is None:
                later.append(name)
            else:
                known[name] = answer
        if not later:
            self._hand_on(lane, list(lane.runs), known)
            return
        waiting = _Waiting(lane, list(lane.runs))
        self._waiting.append(waiting)
        self._jobs.put((waiting, known, later))
        if self._threads < min(_THREADS, len(self._waiting)):
            self._threads += 1
            threading.Thread(target=self._work, name="twingraph-secrets", daemon=True).start()

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        taken = [(run.node, run.attempt) for _, run in self._take(execution, nodes)]
        if taken:
            self._loop.call_soon(self._report, Returned(execution, taken))
        self._inner.recall(execution, nodes)

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        for lane, run in self._take(execution, nodes):
            message = f"{run.node} was cancelled before it began"
            record = ErrorRecord(code=ErrorCode.CANCELLED, error_type="Cancelled", message=message)
            self._end(lane, run, "cancelled", record)
        self._inner.cancel(execution, nodes)

    def _take(self, execution: str, nodes: Sequence[str] | None) -> list[tuple[Lane, NodeRun]]:
        taken: list[tuple[Lane, NodeRun]] = []
        for waiting in self._waiting:
            if waiting.lane.execution == execution:
                found = [run for run in waiting.runs if nodes is None or run.node in nodes]
                waiting.runs = [run for run in waiting.runs if run not in found]
                taken += [(waiting.lane, run) for run in found]
        return taken

    # -- looking up --------------------------------------------------------------------------------

    def _provided(self) -> Secrets:
        if self._secrets is None:
            self._secrets = self._make()
        return self._secrets

    def _at_once(self, name: str) -> Answer | None:
        """None: somebody has to be waited for."""
        secrets = self._provided()
        try:
            value = secrets.at_once(name)
            if value is None and secrets.may_wait(name):
                return None
            return secrets.value_of(name) if value is None else value
        except TwinGraphError as error:
            return error

    def _work(self) -> None:
        """A thread. The end of the program does not wait for it."""
        while (job := self._jobs.get()) is not None:
            if not self._stopped:
                self._look_up(*job)

    def _look_up(self, waiting: _Waiting, known: dict[str, Answer], names: Sequence[str]) -> None:
        for name in names:
            try:
                known[name] = self._provided().value_of(name)
            except TwinGraphError as error:
                known[name] = error
            except Exception as error:  # a provider's mistake must not leave the lane waiting
                known[name] = SecretUnavailable(f"the secret {name!r} cannot be looked up: {error}")
        try:
            self._loop.call_soon_threadsafe(self._looked_up, waiting, known)
        except RuntimeError:  # the loop is closed
            return

    def _looked_up(self, waiting: _Waiting, known: Mapping[str, Answer]) -> None:
        if self._stopped:
            return
        self._waiting.remove(waiting)
        self._hand_on(waiting.lane, waiting.runs, known)

    # -- filling in --------------------------------------------------------------------------------

    def _hand_on(self, lane: Lane, runs: Sequence[NodeRun], known: Mapping[str, Answer]) -> None:
        used: dict[str, None] = {}

        def value_of(name: str) -> str:
            answer = known[name]
            if isinstance(answer, TwinGraphError):
                raise answer
            used[answer] = None
            return _checked(name, answer)

        ready: list[NodeRun] = []
        try:
            settings = _filled_settings(lane.settings, value_of)
        except (TwinGraphError, MalformedReferenceError) as error:
            for run in runs:
                self._fail(lane, run, error)
            return
        for run in runs:
            try:
                ready.append(replace(run, args=_filled(run.args, value_of)))
            except (TwinGraphError, MalformedReferenceError) as error:
                self._fail(lane, run, error)
        if ready:
            self._inner.submit(replace(lane, settings=settings, runs=ready, secrets=tuple(used)))

    def _fail(self, lane: Lane, run: NodeRun, error: Exception) -> None:
        temporary = isinstance(error, SecretUnavailable)
        kind = type(error) if isinstance(error, TwinGraphError) else SecretError
        record = ErrorRecord(
            code=ErrorCode.SECRET_UNAVAILABLE if temporary else ErrorCode.INVALID_INPUT,
            error_type=kind.__name__,
            message=f"{run.node} could not be started: {error}",
            node_id=run.node,
            attempt=run.attempt,
            types=_kinds(kind),
            permanent=not temporary,
        )
        self._end(lane, run, "failed", record)

    def _end(self, lane: Lane, run: NodeRun, status: str, record: ErrorRecord) -> None:
        outcome = Outcome(lane.execution, run.node, run.attempt, status, None, time.time(), error=record, begun=False)
        self._loop.call_soon(self._report, outcome)


def _kinds(kind: type) -> tuple[str, ...]:
    """As the runner names them, for retry policies."""
    bases = [base for base in kind.__mro__ if base is not object]
    return tuple(b.__qualname__ if b.__module__ == "builtins" else f"{b.__module__}.{b.__qualname__}" for b in bases)


def names_any(settings: RunSettings, runs: Sequence[NodeRun]) -> bool:
    """Quick, for the lanes that have nothing to do with secrets."""
    if settings.options is not None and MARK in settings.options:
        return True
    if settings.environment and any(MARK in text for text in settings.environment.values()):
        return True
    if settings.platform_config and any(MARK in text for text in texts_in(dict(settings.platform_config))):
        return True
    return any(MARK in text for run in runs for _, text in run.args)


def _names(lane: Lane) -> list[str]:
    """Every secret that the lane names, in order; what is malformed is told when it is filled in."""
    settings = lane.settings
    texts = [*texts_in(dict(settings.environment)), *texts_in(dict(settings.platform_config)), settings.options or ""]
    texts += [text for run in lane.runs for _, text in run.args if MARK in text]
    found: dict[str, None] = {}
    for text in texts:
        try:
            found.update(dict.fromkeys(names_in(text)))
        except MalformedReferenceError:
            continue
    return list(found)


def _checked(name: str, value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise SecretError(f"the secret {name!r} is not text in UTF-8; keep it in base64") from None
    return value


def _filled(args: Sequence[tuple[str, str]], value_of: Callable[[str], str]) -> list[tuple[str, str]]:
    return [(name, expand(text, value_of, in_json=True) if MARK in text else text) for name, text in args]


def _filled_settings(settings: RunSettings, value_of: Callable[[str], str]) -> RunSettings:
    environment: dict[str, str] = expand_tree(dict(settings.environment), value_of)
    for name, text in environment.items():
        if "\0" in text:
            raise SecretError(f"a secret in {name} of `environment` holds a zero byte, which no variable can hold")
    config: dict[str, Any] = expand_tree(dict(settings.platform_config), value_of)
    options = settings.options
    if options is not None and MARK in options:
        options = expand(options, value_of, in_json=True)
    return replace(settings, environment=environment, platform_config=config, options=options)
