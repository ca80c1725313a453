"""The calls with which the body of a pipeline begins again, in a replay on the same code with the same inputs.

A body must make the same calls whenever it is run. So those before the first one that is to run, or before the first
answer that it asked for, are in the journal when the replay begins, and the body hears of them as of its own history:
it neither waits for one after the other, nor is each compared by what it was called with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from twingraph.core.events import NodeEnded
from twingraph.core.plan import NodeKind, PlanNode
from twingraph.engine.elsewhere import Elsewhere, Repeated
from twingraph.engine.looking import looks_around
from twingraph.engine.recorded import Outcome, Recorded

# What gives something else in each execution, and is written down nowhere.
_OF_THE_EXECUTION = re.compile(r"\b(?:random|uuid4|current|execution_id)\b")
# The text of such bodies is not in the bundle: it may say anything, and may be another one by now.
_BY_IMPORT = re.compile(r'"mode":\s*"import"')


def may_repeat(body_path: str) -> bool:
    """Whether bodies with this text depend, as far as it shows, on nothing that is another one in each execution or
    that nobody wrote down."""
    try:
        text = Path(body_path).read_text(encoding="utf-8")
        if _OF_THE_EXECUTION.search(text) or _BY_IMPORT.search(text):
            return False
        return not any(looks_around(code) for code in _code_in(json.loads(text)))
    except (OSError, ValueError, RecursionError):
        return False


def _code_in(bundle: Any) -> Iterator[str]:
    """The text of its modules, and of what makes functions that were defined in others."""
    if isinstance(bundle, dict):
        for key, value in bundle.items():
            if key in ("text", "factory") and isinstance(value, str):
                yield value
            else:
                yield from _code_in(value)


def repeated(recorded: Recorded, kept: Collection[str]) -> Repeated:
    """The first calls: as long as they are kept, made by the body itself, and nothing else was asked between."""
    root = recorded.state.root
    most = root.decisions[0][0] if root.decisions else len(root.nodes)
    nodes: list[PlanNode] = []
    outcomes: list[Elsewhere] = []
    texts: list[str | None] = []
    for node in islice(root.nodes.values(), most):
        if node.kind is not NodeKind.TASK or node.plan.caller or node.id not in kept:
            break
        known = elsewhere(recorded.outcomes[node.id])
        if known is None:
            break
        nodes.append(node.plan)
        outcomes.append(known)
        texts.append(recorded.text_at(known[0]))
    specs = tuple(recorded.state.specs[len(recorded.specs) :])
    return Repeated(nodes=tuple(nodes), specs=specs, outcomes=outcomes, texts=texts)


def elsewhere(outcomes: Sequence[Outcome]) -> Elsewhere | None:
    """Where what a node gave stands in the journal of whoever ran it; None when it is more than that."""
    event, place = outcomes[0]
    if len(outcomes) > 1 or place is None or not isinstance(event, NodeEnded):
        return None
    stays = event.status == "completed" and event.cached_from == place.execution and event.cached_node is None
    return (place, event) if stays else None
