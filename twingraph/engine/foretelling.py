"""What the body of a replay hears while its new execution is still made ready.

The calls with which it begins again, and what they gave, stand in the journals of earlier executions, whatever becomes
of the new one. So the body makes these calls meanwhile, in its own process. It does nothing new: for that it waits for
the last page of its history, which comes when the new execution is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from twingraph.core.bodies import Ended, Host, Opened, Page, PastCall
from twingraph.core.plan import NodeSpec, PlanNode
from twingraph.core.statuses import NodeStatus
from twingraph.engine.folding import PIECE

if TYPE_CHECKING:
    from twingraph.engine.elsewhere import Elsewhere
    from twingraph.engine.held import Held, Submission
    from twingraph.engine.kernel import Scope


class Foretold:
    """Of one execution that begins by and by. `host` runs its body."""

    def __init__(self, submission: Submission, host: Host) -> None:
        self._submission = submission
        self._host = host
        self._told = 0
        self._stands = False
        self._spoiled = False
        self.specs: list[Sequence[NodeSpec]] = []  # that the host has named meanwhile

    def telling(self, held: Held) -> Iterator[None]:
        """A page at a time. What the calls gave will be asked for again, so `held` is given it too."""
        submission, repeated = self._submission, self._submission.repeated
        assert repeated is not None
        specs = [*submission.specs, *repeated.specs]
        if any(spec.code is not None for spec in specs):
            return  # what is found late is recorded for an execution that is there
        arguments = tuple(submission.inputs.items())
        self._host.open(Opened(submission.id, "", submission.body or "", arguments))
        steps = zip(repeated.nodes, repeated.outcomes, repeated.texts, strict=True)
        while some := list(islice(steps, held.sizes.kept_page)):
            known = []
            for node, outcome, text in some:
                if text is None:
                    break
                known.append((node, outcome, text.split("\n")))
            for _, (place, _), lines in known:
                held.values.keep(place, lines)
            self._host.page(submission.id, "", self._page(specs, known))
            if len(known) < len(some):
                return
            yield

    def _page(self, specs: Sequence[NodeSpec], known: Sequence[tuple[PlanNode, Elsewhere, list[str]]]) -> Page:
        past: list[PastCall] = []
        over: list[Ended] = []
        for node, (_, event), lines in known:
            assert node.spec is not None
            self._told += 1
            past.append(PastCall(specs[node.spec].component, node))
            over.append(Ended(node.id, self._told, "completed", event.shape, event.outputs, lines))
        return Page(past, over)

    def stop(self, why: str) -> None:
        self._host.stop(self._submission.id, why)

    def spoil(self) -> None:
        """Its body has said something that nobody could hear yet, or is gone: it has to begin again."""
        self._spoiled = True

    def comparing(self, scope: Scope) -> Iterator[None]:
        """See whether all that the body has heard is how the execution begins. Nothing of that changes any more."""
        if len(scope.nodes) < self._told:
            return
        for order, node in enumerate(islice(scope.nodes.values(), self._told), 1):
            if node.status is not NodeStatus.COMPLETED or node.order != order:
                return
            if not order % PIECE:
                yield
        self._stands = True

    @property
    def told(self) -> int:
        """How much of its history the body has heard; 0 when it must begin again."""
        return self._told if self._stands and not self._spoiled else 0
