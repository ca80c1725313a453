"""How an execution begins: its first events, and its row in the list of executions."""

from __future__ import annotations

from collections.abc import Iterator

from twingraph.core.errors import TwinGraphError
from twingraph.core.events import Created, Event, GraphClosed, GraphExtended
from twingraph.engine.held import Submission
from twingraph.engine.sizes import USUAL
from twingraph.store.base import NewExecution


def first_events(submission: Submission, kept_page: int = USUAL.kept_page) -> Iterator[tuple[Event, str | None]]:
    """Each with its data. A drawn workflow is known whole; a body says by and by what it calls."""
    texts = "\n".join([*submission.inputs.values(), *submission.given]) or None
    created = Created(submission.settings, tuple(submission.inputs), submission.body, submission.changes)
    yield created, texts
    plan = submission.plan
    if submission.body is not None:
        if submission.specs:
            yield GraphExtended((), submission.specs, driven=True), None
        if submission.repeated is not None and submission.repeated.nodes:
            for event in submission.repeated.events(kept_page):
                yield event, None
    elif plan is not None:
        yield GraphExtended(plan.root.nodes, plan.specs, plan.templates), None
        yield GraphClosed("", plan.root.result, plan.root.last_nodes), None
    else:
        raise TwinGraphError(f"{submission.id} has neither a plan nor a body")


def new_execution(submission: Submission, owner: str, now: float) -> NewExecution:
    return NewExecution(
        id=submission.id,
        workflow_id=submission.workflow_id,
        name=submission.name or (submission.plan.name if submission.plan is not None else submission.workflow_id),
        created_at=now,
        owner=owner,
        origin=submission.origin,
        target=submission.target,
        code_version=submission.code_version,
        code_body=submission.code_body,
        replay_of=submission.replay_of,
    )
