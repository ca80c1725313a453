"""What bounds an execution, as the author of a workflow or pipeline says it: checked, all mistakes at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twingraph.core.errors import Problem
from twingraph.core.nearest import did_you_mean
from twingraph.core.policies import ErrorHandler

if TYPE_CHECKING:  # needed once somebody declares a pipeline or compiles
    from twingraph.core.records import Settings

ERROR_CONFIG_KEYS = ("handler", "continue_on_error")
SETTING_KEYS = ("max_parallel", "timeout", "error_handler", "error_config", "notifications")
NOTIFICATION_KEYS = ("on_start", "on_success", "on_failure", "on_late", "late_after")


def check_workflow_settings(metadata: Mapping[str, Any]) -> tuple[Settings, list[Problem]]:
    """What bounds an execution, from a workflow's metadata, or every problem with it."""
    from twingraph.core.records import Settings

    problems: list[Problem] = []

    def wrong(field: str, message: str) -> None:
        problems.append(Problem(field=field, message=message))

    most = metadata.get("max_parallel", 10)
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        wrong("max_parallel", f"must be a whole number from 1, not {most!r}")
    limit = metadata.get("timeout", 3600)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit > 0):
        wrong("timeout", f"must be a number of seconds above 0, or None, not {limit!r}")
    handler = metadata.get("error_handler", "fail")
    kinds = [str(kind) for kind in ErrorHandler]
    if handler not in kinds:
        wrong("error_handler", f"{handler!r} is not known; {did_you_mean(str(handler), kinds)}")
    config = metadata.get("error_config") or {}
    _check_keys(config, "error_config", ERROR_CONFIG_KEYS, problems)
    _check_keys(metadata.get("notifications") or {}, "notifications", NOTIFICATION_KEYS, problems)
    if handler == "custom" and isinstance(config, Mapping) and not isinstance(config.get("handler"), str):
        wrong("error_config.handler", "must name a registered component when error_handler is 'custom'")
    if problems:
        return Settings(), problems
    settings = Settings(
        max_parallel=most,
        timeout=None if limit is None else float(limit),
        error_handler=handler,
        continue_on_error=bool(config.get("continue_on_error", False)),
    )
    return settings, []


def _check_keys(given: Any, field: str, known: tuple[str, ...], problems: list[Problem]) -> None:
    if not isinstance(given, Mapping):
        problems.append(Problem(field=field, message=f"must be a mapping, not {given!r}"))
        return
    problems.extend(
        Problem(field=f"{field}.{key}", message=f"is not known; {did_you_mean(str(key), known)}")
        for key in given
        if key not in known
    )
