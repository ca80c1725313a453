"""What somebody wants of a replay, by names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from twingraph.core.errors import ValidationError
from twingraph.core.recordclass import recordclass


@recordclass
class Wish:
    """Without any of these everything is done again. `node`: this one alone."""

    start: Sequence[str] = ()
    failed: bool = False
    node: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """ValidationError for what does not go together."""
        if self.node is not None and (self.start or self.failed or self.outputs):
            raise ValidationError(
                f"{self.node} is run alone, so that nothing starts from it, and no other node is run or given: only "
                "its inputs may be changed; leave out what else is asked for"
            )
