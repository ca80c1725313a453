"""`twingraph.replay`: an execution that has ended, or a part of it, run again as a new one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from twingraph.core.errors import ValidationError
from twingraph.core.wishes import Wish
from twingraph.sdk.body.active import is_replayed
from twingraph.sdk.frames import short

if TYPE_CHECKING:
    from twingraph.sdk.inprocess import Execution


@short
def replay(
    execution: str | Execution,
    *,
    from_node: str | Sequence[str] = (),
    failed: bool = False,
    node: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    code: Any = "recorded",
) -> Execution:
    """Run an execution that has ended again, by its id or handle; gives a handle of the new one once that is recorded.

    Without any of these all of it, with the inputs that it had. `from_node`: these nodes and what follows from them;
    `failed`: what failed, and what follows; `inputs`: what takes one of these, and what follows; `outputs`: what
    follows from these nodes, which are not run and give these values instead. The rest is kept. `node`: this one alone,
    with the inputs that it had, but for `inputs`.

    `code` is the pipeline or workflow to run it on as that is now; 'recorded': on the code that it ran on.
    """
    if is_replayed():
        raise ValidationError("a pipeline cannot replay an execution, as it would do so anew whenever its body is run")
    from twingraph.sdk import inprocess

    if isinstance(execution, inprocess.Execution):
        execution = execution.id
    start = (from_node,) if isinstance(from_node, str) else from_node
    _check(execution, start, failed, node, inputs, outputs, code)
    wish = Wish(
        start=tuple(start),
        failed=failed,
        node=node,
        inputs=dict(inputs or {}),
        outputs=dict(outputs or {}),
    )
    return inprocess.replay(execution, wish, None if isinstance(code, str) else code)


def _check(execution: Any, start: Any, failed: Any, node: Any, inputs: Any, outputs: Any, code: Any) -> None:
    """TypeError or ValidationError that names the argument, before anything is looked up or begun."""
    from twingraph.sdk.pipeline import Pipeline
    from twingraph.sdk.workflow_builder import Workflow

    if not isinstance(execution, str):
        raise TypeError(f"execution is the id of an execution, or its handle, not {execution!r:.80}")
    if not isinstance(start, Sequence | Set) or isinstance(start, bytes) or not _texts(start):
        raise TypeError(f"from_node is the id of a node, or several, not {start!r:.80}")
    if not isinstance(failed, bool):
        raise TypeError(f"failed is True or False, not {failed!r:.80}")
    if node is not None and not isinstance(node, str):
        raise TypeError(f"node is the id of a node, not {node!r:.80}")
    for argument, given in (("inputs", inputs), ("outputs", outputs)):
        if given is not None and not (isinstance(given, Mapping) and _texts(given)):
            raise TypeError(f"{argument} is a dict of values by name, not {given!r:.80}")
    if not isinstance(code, Pipeline | Workflow) and not (isinstance(code, str) and code == "recorded"):
        raise ValidationError(f"code is 'recorded', or the pipeline or workflow as it is now, not {code!r:.80}")


def _texts(given: Iterable[Any]) -> bool:
    return all(isinstance(one, str) for one in given)
