"""What `@pipeline` may be told, checked when it is declared: all problems at once, each with the nearest right word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twingraph.core.errors import Problem
from twingraph.core.nearest import did_you_mean
from twingraph.core.recordclass import recordclass
from twingraph.sdk.workflow_settings import SETTING_KEYS, check_workflow_settings

if TYPE_CHECKING:
    from twingraph.core.records import Settings

BOUNDS = ("max_parallel", "timeout", "error_handler", "error_config")
DECLARED = ("name", *SETTING_KEYS, "schedule", "graph_config", "description", "tags")
OPTIONS = ("id", "detached", "name", *BOUNDS)
CRON_FIELDS = 5
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@recordclass
class PipelineSettings:
    """What was declared; `raw` as it was written, so that a variant can change a part of it."""

    bounds: Settings
    raw: Mapping[str, Any]
    schedule: str | None
    graph_config: Mapping[str, Any]
    notifications: Mapping[str, Any]

    @property
    def handler(self) -> str | None:
        """The component that hears of failures, where `error_handler` is 'custom'."""
        if self.bounds.error_handler != "custom":
            return None
        named: str = self.raw["error_config"]["handler"]
        return named


def check_pipeline_settings(
    given: Mapping[str, Any], *, pipeline: str, known: tuple[str, ...] = DECLARED
) -> tuple[PipelineSettings, list[Problem]]:
    """The settings, and every problem with them."""
    raw = {key: value for key, value in given.items() if value is not None or key == "timeout"}
    problems = [
        Problem(field=key, message=f"is not a setting of a pipeline; {did_you_mean(key, known)}")
        for key in given
        if key not in known
    ]
    bounds, more = check_workflow_settings({key: raw[key] for key in SETTING_KEYS if key in raw})
    problems += more
    schedule = raw.get("schedule")
    trouble = None if schedule is None else cron_trouble(schedule)
    if trouble is not None:
        problems.append(Problem(field="schedule", message=trouble))
    problems += [
        Problem(field=field, message=f"must be {what}, not {raw[field]!r}")
        for field, fits, what in (
            ("graph_config", _is_mapping, "a mapping with texts as keys"),
            ("description", _is_text, "a text"),
            ("tags", _is_texts, "a list of texts"),
        )
        if field in raw and not fits(raw[field])
    ]
    settings = PipelineSettings(
        bounds=bounds,
        raw=raw,
        schedule=schedule if trouble is None else None,
        graph_config=raw.get("graph_config", {}),
        notifications=raw.get("notifications", {}),
    )
    return settings, [problem._replace(node=problem.node or pipeline) for problem in problems]


def cron_trouble(expression: Any) -> str | None:
    """What is wrong with a cron expression: minute, hour, day of month, month, day of week."""
    example = "as in '0 */6 * * *'"
    if not isinstance(expression, str):
        return f"must be a cron expression, {example}, not {expression!r}"
    fields = expression.split()
    if (written := _NICKNAMES.get(expression.strip().lower())) is not None:
        return f"{expression!r} must be written with its {CRON_FIELDS} fields, as {written!r}"
    if len(fields) != CRON_FIELDS:
        many = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        return f"{expression!r} has {many}; a cron expression has {CRON_FIELDS}, {example}"
    from datetime import UTC, datetime

    from cronsim import CronSim, CronSimError

    try:
        CronSim(expression, datetime.now(UTC))
    except CronSimError as error:
        return f"{expression!r} is not a cron expression: {error}"
    return None


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)
