"""Outcomes that stand in the journal of another execution, and the calls with which a body begins again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from twingraph.core.events import Event, GraphExtended, NodeEnded, OutcomesKept
from twingraph.core.plan import NodeSpec, PlanNode
from twingraph.core.recordclass import recordclass
from twingraph.engine.kernel.state import FREED_AT_ONCE
from twingraph.engine.shared import Shared

# What a node gave, and where its values stand.
Elsewhere = tuple[Shared, NodeEnded]


def kept_in(outcomes: Iterable[Elsewhere]) -> Iterator[OutcomesKept]:
    """These as events, one for each execution in a row that gave some of them."""
    for execution, some in groupby(outcomes, key=lambda one: one[0].execution):
        yield OutcomesKept(execution, tuple((e.node, place.seq, e.shape, e.outputs) for place, e in some))


@recordclass
class Repeated:
    """The first calls of a body, with what each gave."""

    nodes: tuple[PlanNode, ...]
    specs: tuple[NodeSpec, ...]  # all that the execution had, after those of its settings
    outcomes: list[Elsewhere]
    texts: list[str | None]  # what each gave, as far as it was read already

    def events(self, page: int) -> Iterator[Event]:
        """What stands in the journal when the replay begins."""
        yield GraphExtended(self.nodes, self.specs, driven=True)
        for start in range(0, len(self.outcomes), page):
            yield from kept_in(self.outcomes[start : start + page])

    def let_go(self) -> Iterator[None]:
        """Of what they gave, by and by: all of it is recorded."""
        for some in (self.outcomes, self.texts):
            while some:
                del some[-FREED_AT_ONCE:]
                yield
