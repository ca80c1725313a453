"""One row of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """A pipeline, its inputs, and what else happens to it while it runs.

    The same source is run as plain Python, where components and pipelines are the functions that they were. Where that
    has no meaning, because the body uses what only handles have, `twin` says the same as a plain function.
    """

    run: Any
    inputs: Mapping[str, Any] = field(default_factory=dict)
    signals: tuple[tuple[str, Any], ...] = ()  # sent at once, in this order
    answers: tuple[tuple[str, Any], ...] = ()  # sent one by one, each when the body waits for a signal
    twin: Callable[..., Any] | None = None
    # A plain program stops at the first call that fails; in a pipeline the calls beside it have begun by then.
    eager: bool = False

    @property
    def name(self) -> str:
        return str(self.run.__name__)
