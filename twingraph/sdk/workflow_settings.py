"""What bounds an execution, as the author of a workflow or pipeline says it: checked, all mistakes at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twingraph.core.errors import Problem
from twingraph.core.nearest import did_you_mean
from twingraph.core.policies import ErrorHandler
from twingraph.core.secrets import MARK

if TYPE_CHECKING:  # needed once somebody declares a pipeline or compiles
    from twingraph.core.records import Settings

ERROR_CONFIG_KEYS = ("handler", "continue_on_error")
SETTING_KEYS = ("max_parallel", "timeout", "error_handler", "error_config", "notifications")
NOTIFICATION_KEYS = ("on_start", "on_success", "on_failure", "on_late", "late_after")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\ud800-\udfff]+")
_EXAMPLE_URLS = "['https://example.org/hook']"


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
    if isinstance(config, Mapping):
        _check_error_config(config, handler, wrong)
    notifications = metadata.get("notifications") or {}
    _check_keys(notifications, "notifications", NOTIFICATION_KEYS, problems)
    if isinstance(notifications, Mapping):
        _check_notifications(notifications, wrong)
    if problems:
        return Settings(), problems
    settings = Settings(
        max_parallel=most,
        timeout=None if limit is None else float(limit),
        error_handler=handler,
        continue_on_error=config.get("continue_on_error", False),
    )
    return settings, []


def _check_error_config(config: Mapping[str, Any], handler: Any, wrong: Callable[[str, str], None]) -> None:
    named = config.get("handler", "")
    if isinstance(name := getattr(named, "name", None), str):
        wrong("error_config.handler", f"must name a registered component: write {name!r} instead of {named!r}")
    elif handler == "custom" and not (named and isinstance(named, str)):
        wrong("error_config.handler", "must name a registered component when error_handler is 'custom'")
    elif not isinstance(named, str):
        wrong("error_config.handler", f"must name a registered component, not {named!r}")
    elif named and handler in [str(kind) for kind in ErrorHandler if kind is not ErrorHandler.CUSTOM]:
        wrong("error_config.handler", f"is called where error_handler is 'custom' alone, and here it is {handler!r}")
    if not isinstance(goes_on := config.get("continue_on_error", False), bool):
        wrong("error_config.continue_on_error", f"must be true or false, not {goes_on!r}")


def _check_notifications(given: Mapping[str, Any], wrong: Callable[[str, str], None]) -> None:
    for key in NOTIFICATION_KEYS[:-1]:
        urls = given.get(key, ())
        if not isinstance(urls, (list, tuple)):
            wrong(f"notifications.{key}", f"must be a list of URLs, as in {_EXAMPLE_URLS}, not {urls!r}")
            continue
        for position, url in enumerate(urls):
            if not isinstance(url, str) or not (_URL.fullmatch(url) or MARK in url):
                wrong(f"notifications.{key}[{position}]", f"must be a URL, as in {_EXAMPLE_URLS}, not {url!r}")
    late = given.get("late_after", 1)
    if not isinstance(late, (int, float)) or isinstance(late, bool) or not 0 < late < float("inf"):
        wrong("notifications.late_after", f"must be a number of seconds above 0, not {late!r}")


def _check_keys(given: Any, field: str, known: tuple[str, ...], problems: list[Problem]) -> None:
    if not isinstance(given, Mapping):
        problems.append(Problem(field=field, message=f"must be a mapping, not {given!r}"))
        return
    problems.extend(
        Problem(field=f"{field}.{key}", message=f"is not known; {did_you_mean(str(key), known)}")
        for key in given
        if key not in known
    )
