"""Retry and error-handling policies: what they may say, and the arithmetic of a delay."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from twingraph.core.errors import Problem
from twingraph.core.nearest import did_you_mean
from twingraph.core.quantities import byte_count
from twingraph.core.recordclass import recordclass


class Backoff(StrEnum):
    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class ErrorHandler(StrEnum):
    FAIL = "fail"
    CONTINUE = "continue"
    RETRY = "retry"
    CUSTOM = "custom"


@recordclass
class RetryPolicy:
    """When a failed attempt is followed by another. `exceptions` None: every error but permanent ones."""

    max_attempts: int = 3
    backoff: Backoff = Backoff.EXPONENTIAL
    initial_delay: float = 1.0
    max_delay: float = 60.0
    jitter: float = 0.1
    exceptions: tuple[str, ...] | None = None
    on_oom: Mapping[str, str] | None = None

    def delay(self, failed_attempts: int, chance: float) -> float:
        """Seconds before the next attempt; `chance` in [0, 1) spreads it by `jitter` to both sides."""
        try:
            base = min(self._growing(failed_attempts), self.max_delay)
        except OverflowError:  # more than any float, and so more than any delay
            base = self.max_delay if self.initial_delay else 0.0
        return max(0.0, min(base * (1.0 + self.jitter * (2.0 * chance - 1.0)), self.max_delay))

    def _growing(self, failed_attempts: int) -> float:
        if self.backoff is Backoff.FIXED:
            return self.initial_delay
        if self.backoff is Backoff.LINEAR:
            over, under = self.initial_delay.as_integer_ratio()
            return over * failed_attempts / under  # a count may be more than any float, and the delay not
        return math.ldexp(self.initial_delay, failed_attempts - 1)

    def memory_after(self, limit: int) -> int | None:
        """The memory limit, in bytes, after an attempt that ran out of this one; None when it gets no more."""
        if self.on_oom is None:
            return None
        grown = int(limit * float(self.on_oom.get("memory", "x2")[1:]))
        if "max_memory" in self.on_oom:
            grown = min(grown, byte_count(self.on_oom["max_memory"]))
        return grown if grown > limit else None

    def matches(self, error_types: Iterable[str]) -> bool:
        """Whether an error whose classes (whole MRO, qualified) are `error_types` may be tried again."""
        if self.exceptions is None:
            return True
        wanted = set(self.exceptions)
        return any(name in wanted or name.rpartition(".")[2] in wanted for name in error_types)


RETRY_KEYS = ("max_attempts", "backoff", "initial_delay", "max_delay", "jitter", "exceptions", "on_oom")
DEFAULT_RETRY = RetryPolicy()


def _number(value: Any, low: float, high: float = sys.float_info.max) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _exception_name(entry: Any) -> str | None:
    if isinstance(entry, str) and entry.strip():
        return entry.strip().removeprefix("builtins.")  # errors tell those of Python itself without a module
    if isinstance(entry, type) and issubclass(entry, BaseException):
        return entry.__name__ if entry.__module__ == "builtins" else f"{entry.__module__}.{entry.__qualname__}"
    return None


def parse_retry(raw: Any, *, node: str | None = None) -> tuple[RetryPolicy | None, list[Problem]]:
    """A policy from what an author wrote, or every problem with it."""
    if raw is None or isinstance(raw, RetryPolicy):
        return raw, []

    problems: list[Problem] = []

    def wrong(key: str, message: str) -> None:
        field = f"retry_policy.{key}" if key else "retry_policy"
        problems.append(Problem(node=node, field=field, message=message))

    if not isinstance(raw, Mapping):
        wrong("", f"must be a mapping with any of {', '.join(RETRY_KEYS)}, not {type(raw).__name__}")
        return None, problems
    for key in raw:
        if key not in RETRY_KEYS:
            wrong(str(key), f"is not a key of a retry policy; {did_you_mean(str(key), RETRY_KEYS)}")
    attempts = raw.get("max_attempts", 3)
    if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
        wrong("max_attempts", f"must be a whole number from 1, not {attempts!r}")
    backoff = raw.get("backoff", "exponential")
    if backoff not in [str(kind) for kind in Backoff]:
        wrong("backoff", f"{backoff!r} is not known; {did_you_mean(str(backoff), [str(kind) for kind in Backoff])}")
    for key, default in (("initial_delay", 1.0), ("max_delay", 60.0)):
        if not _number(raw.get(key, default), 0):
            wrong(key, f"must be a number of seconds from 0, not {raw[key]!r}")
    if not _number(raw.get("jitter", 0.1), 0, 1):
        wrong("jitter", f"must be a number from 0 to 1, not {raw['jitter']!r}")
    exceptions = raw.get("exceptions")
    names: tuple[str, ...] | None = None
    if exceptions is not None:
        entries = [exceptions] if isinstance(exceptions, (str, type)) else exceptions
        if not isinstance(entries, Iterable):
            wrong("exceptions", f"must be a list of class names or exception classes, not {exceptions!r}")
        else:
            found = [(entry, _exception_name(entry)) for entry in entries]
            for entry, name in found:
                if name is None:
                    wrong("exceptions", f"{entry!r} is neither the name of an exception nor its class")
            names = tuple(name for _, name in found if name is not None)
    on_oom = raw.get("on_oom")
    if on_oom is not None and (complaint := _oom_complaint(on_oom)) is not None:
        wrong("on_oom", complaint)
    if problems:
        return None, problems
    return (
        RetryPolicy(
            max_attempts=attempts,
            backoff=Backoff(backoff),
            initial_delay=float(raw.get("initial_delay", 1.0)),
            max_delay=float(raw.get("max_delay", 60.0)),
            jitter=float(raw.get("jitter", 0.1)),
            exceptions=names,
            on_oom=dict(on_oom) if on_oom is not None else None,
        ),
        [],
    )


def _oom_complaint(on_oom: Any) -> str | None:
    """What is wrong with the answer to a lack of memory."""
    if not isinstance(on_oom, Mapping) or not on_oom or not set(on_oom) <= {"memory", "max_memory"}:
        return "must be a mapping with 'memory' (as \"x2\") and 'max_memory' (as \"16G\")"
    factor = on_oom.get("memory", "x2")
    found = re.fullmatch(r"x([0-9]+(?:\.[0-9]+)?)", factor) if isinstance(factor, str) else None
    if found is None or float(found.group(1)) <= 1:
        return f'\'memory\' must say by how much it grows, such as "x2" or "x1.5", not {factor!r}'
    try:
        limit = byte_count(on_oom["max_memory"]) if "max_memory" in on_oom else 1
    except ValueError as error:
        return f"'max_memory': {error}"
    return None if limit > 0 else "'max_memory' must be more than 0"
