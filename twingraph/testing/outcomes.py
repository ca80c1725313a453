"""What a test lets components give, instead of running them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from twingraph.core.nearest import did_you_mean


class Sequence:
    """One outcome per attempt, in order. See `sequence`."""

    def __init__(self, outcomes: tuple[Any, ...]) -> None:
        self.outcomes = outcomes


class Takes(NamedTuple):
    """See `takes`."""

    seconds: float
    outcome: Any


class Run(NamedTuple):
    """One attempt of a component that was made: what it was called with, and where."""

    component: str
    inputs: Mapping[str, Any]
    node: str
    attempt: int
    execution: str


def sequence(*outcomes: Any) -> Any:
    """One outcome for each attempt: `sequence(ValueError("busy"), 3)` fails once, then gives 3."""
    return Sequence(outcomes)


def takes(seconds: float, outcome: Any = None) -> Any:
    """The run goes on for so long on the test's clock, or until its time limit, and then gives this outcome."""
    if not seconds >= 0:
        raise ValueError(f"a run takes 0 seconds or more, not {seconds!r}")
    return Takes(seconds, outcome)


def name_of(component: Any) -> str:
    """What outcomes and runs of a component stand under."""
    if isinstance(component, str):
        return component
    if getattr(type(component), "is_pipeline", False) is True:
        raise TypeError(f"{component!r} is a pipeline, which runs; choose outcomes of the components that it calls")
    name = getattr(component, "name", None) or getattr(component, "__name__", None)
    return name if isinstance(name, str) else type(component).__name__


class Chosen:
    """The outcomes that a test has chosen, and how many of each have been given."""

    def __init__(self, given: Mapping[Any, Any]) -> None:
        self._given: dict[str, Any] = {}
        self._left: dict[str, Iterator[Any]] = {}
        self._words: set[str] = set()  # that were given as text, which may be misspelt
        self._ran: set[str] = set()
        for component, outcome in given.items():
            self[component] = outcome

    def __setitem__(self, component: Any, outcome: Any) -> None:
        name = name_of(component)
        if isinstance(outcome, list) and any(_raises(one) for one in outcome):
            raise TypeError(f"{name}: a list is one value; for one outcome per attempt write sequence(...)")
        if isinstance(component, str):
            self._words.add(name)
        self._given[name] = outcome
        self._left[name] = iter(outcome.outcomes if isinstance(outcome, Sequence) else ())

    def __contains__(self, component: Any) -> bool:
        return name_of(component) in self._given

    def __delitem__(self, component: Any) -> None:
        del self._given[name_of(component)]
        self._words.discard(name_of(component))

    def next(self, name: str, function: Callable[..., Any] | None) -> tuple[float, Callable[..., Any] | None]:
        """How long the next attempt takes, and what to call for it: the component itself unless the test has chosen."""
        self._ran.add(name)
        if name not in self._given:
            return 0.0, function
        outcome = self._given[name]
        if isinstance(outcome, Sequence):
            try:
                outcome = next(self._left[name])
            except StopIteration:
                count = len(outcome.outcomes)
                raise AssertionError(f"{name} ran more often than its sequence of {count} outcomes tells") from None
        seconds = 0.0
        if isinstance(outcome, Takes):
            seconds, outcome = outcome
        return seconds, _giving(outcome)

    def doubts(self, known: Iterable[str]) -> Iterator[str]:
        """About each name, once, that may be misspelt: it is not among the known ones, and nothing of it has run."""
        if not self._words:
            return
        names = self._ran.union(known)
        for name in sorted(self._words - names):
            yield f"an outcome was chosen for {name!r}, and no component is called so; {did_you_mean(name, names)}"
        self._words.clear()


def _raises(outcome: Any) -> bool:
    return isinstance(outcome, BaseException) or (isinstance(outcome, type) and issubclass(outcome, BaseException))


def _giving(outcome: Any) -> Callable[..., Any]:
    if callable(outcome) and not _raises(outcome):
        found: Callable[..., Any] = getattr(outcome, "fn", outcome)
        return found

    def give(**_: Any) -> Any:
        if _raises(outcome):
            raise outcome
        return outcome

    return give
