"""From what was typed to the id of a workflow that has been run. No file is loaded: it may be gone by now."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from twingraph.cli.app import App
from twingraph.cli.errors import UsageError
from twingraph.core.execution import ExecutionRecord
from twingraph.core.nearest import nearest

_LOOKED_AT = 500  # of the newest executions, for what else may have been meant


def workflow_id_of(typed: str, app: App) -> str:
    """The id itself, or that of a target as `run` takes it; UsageError with near ones when nothing ran under it."""
    targets = _targets(typed)
    with closing(app.backend.open_reader(app.settings)) as reader:
        for known in (*targets, typed):
            if reader.executions(limit=1, workflow_id=known)[1]:
                return known
        newest, _ = reader.executions(limit=_LOOKED_AT)
    meant = {record.workflow_id for record in newest if record.target in targets}  # it has an id of its own
    if len(meant) == 1:
        return meant.pop()
    near = sorted(meant) or _near(typed, targets, newest)
    hint = f"did you mean {' or '.join(near)}?" if near else "`twingraph show ID --json` gives that of an execution"
    raise UsageError(f"--workflow {typed}: no execution has this workflow; {hint}")


def _targets(typed: str) -> Sequence[str]:
    """As they are recorded: with the whole path, for a module too."""
    place, colon, name = typed.rpartition(":")
    if not colon or typed.endswith(".py"):
        place, name = typed, ""
    path = Path(place).expanduser() if place.endswith(".py") else Path(f"{place.replace('.', '/')}.py")
    if not place.endswith(".py") and not path.is_file():
        return ()
    end = f":{name}" if name else ""
    return tuple(dict.fromkeys((f"{path.absolute()}{end}", f"{path.resolve()}{end}")))


def _near(typed: str, targets: Sequence[str], newest: Sequence[ExecutionRecord]) -> Sequence[str]:
    known = dict.fromkeys(record.workflow_id for record in newest)
    ends = tuple(f"{target}:" for target in targets)
    same = [one for one in known if (ends and one.startswith(ends)) or one.endswith((f":{typed}", f"/{typed}"))]
    named = [record.workflow_id for record in newest if record.name == typed]
    found = [*same, *named] or [one for word in (*targets, typed) for one in nearest(word, known)]
    return list(dict.fromkeys(found))[:3]
