"""`twingraph.replay`: an execution that has ended, or a part of it, run again as a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twingraph.core.errors import ValidationError
from twingraph.core.wishes import Wish
from twingraph.sdk.body.active import active
from twingraph.sdk.frames import short

if TYPE_CHECKING:
    from twingraph.sdk.inprocess import Execution


@short
def replay(
    execution: str,
    *,
    from_node: str | Sequence[str] = (),
    failed: bool = False,
    node: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    code: Any = "recorded",
) -> Execution:
    """Run an execution that has ended again, by its id, and give a handle of the new one once that is recorded.

    Without any of these all of it, with the inputs that it had. `from_node`: these nodes and what follows from them;
    `failed`: what failed, and what follows; `inputs`: what takes one of these, and what follows; `outputs`: what
    follows from these nodes, which are not run and give these values instead. The rest is kept. `node`: this one alone,
    with the inputs that it had, but for `inputs`.

    `code` is the pipeline or workflow to run it on as that is now; 'recorded': on the code that it ran on.
    """
    if active.caller is not None:
        raise ValidationError("a pipeline cannot replay an execution, as it would do so anew whenever its body is run")
    if isinstance(code, str) and code != "recorded":
        raise ValidationError(f"code is 'recorded', or the pipeline or workflow as it is now, not {code!r}")
    from twingraph.sdk import inprocess

    wish = Wish(
        start=(from_node,) if isinstance(from_node, str) else tuple(from_node),
        failed=failed,
        node=node,
        inputs=dict(inputs or {}),
        outputs=dict(outputs or {}),
    )
    return inprocess.replay(execution, wish, None if isinstance(code, str) else code)
