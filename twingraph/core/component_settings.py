"""The settings of a component: which there are, and the check of what an author wrote."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from twingraph.core.caching import check_cache, plain_cache
from twingraph.core.errors import Problem
from twingraph.core.nearest import did_you_mean
from twingraph.core.policies import parse_retry
from twingraph.core.quantities import byte_count, unit_count
from twingraph.core.secrets import problem_in

PLATFORM_KEYS: Mapping[str, tuple[str, ...]] = {
    "local": ("cpu", "memory", "gpu", "timeout", "environment"),
    "docker": (
        *("memory", "cpu", "gpu", "volumes", "network", "timeout", "environment"),
        *("user", "pull_policy", "credentials", "host", "python", "warm"),
    ),
    "kubernetes": ("namespace", "resources", "node_selector", "pull_policy", "timeout", "environment"),
    "lambda": ("function_name", "runtime", "memory_size", "timeout", "environment", "layers"),
    "batch": (
        *("job_definition", "job_queue", "vcpus", "memory", "gpu", "array_size"),
        *("timeout", "environment"),
    ),
}
ALL_PLATFORM_KEYS = tuple(dict.fromkeys(key for keys in PLATFORM_KEYS.values() for key in keys))
RESOURCE_KEYS = tuple(dict.fromkeys(("cpu", "memory", "gpu", "requests", "limits", *ALL_PLATFORM_KEYS)))
SHIP = ("slice", "bundle", "image")

# Settings of a drawn node; the decorator calls `platform_config` just `config` and adds `name`.
NODE_SETTINGS = (
    *("platform", "docker_image", "platform_config", "retry_policy", "timeout", "resources", "environment", "labels"),
    *("cache", "version", "limits", "priority", "start_timeout", "ship", "endless"),
)
DECORATOR_SETTINGS = (*("config" if key == "platform_config" else key for key in NODE_SETTINGS), "name")

_MERGED = frozenset({"platform_config", "resources", "environment", "labels", "limits"})

# Brokers know names of up to 255 bytes, of which some are ours.
LONGEST_QUEUE = 200

Wrong = Callable[[str, str], None]


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Checked settings, the nearer ones winning; mappings are merged by key."""
    merged = {**below, **above}
    for key in _MERGED & below.keys() & above.keys():
        merged[key] = {**below[key], **above[key]}
    return merged


def check_settings(
    given: Mapping[str, Any], *, node: str | None = None, platform: str = "local", config_key: str = "config"
) -> tuple[dict[str, Any], list[Problem]]:
    """Fields of a `NodeSpec` from an author's settings, or every problem with them. `platform` is what holds without.

    An explicit argument wins over the platform's `config`, `config` over `resources`.
    """
    problems: list[Problem] = []

    def wrong(field: str, message: str) -> None:
        problems.append(Problem(node=node, field=field, message=message))

    found: dict[str, Any] = {}
    for key, check in _CHECKS.items():
        if key in given:
            check(given[key], key, wrong)
            found[key] = given[key]
    retry, trouble = parse_retry(given.get("retry_policy"), node=node)
    problems.extend(trouble)
    if "retry_policy" in given:
        found["retry"] = retry
    if config_key in given:
        _take_config(given[config_key], found, found.get("platform", platform), config_key, wrong)
    if found.get("endless") is True and found.get("cache"):
        wrong("cache", "keeps what a component gives, and one that is endless gives nothing; leave one of the two out")
    if not problems:
        _normalise(found)
    return found, problems


def _take_config(raw: Any, found: dict[str, Any], platform: Any, field: str, wrong: Wrong) -> None:
    config = raw or {}
    if not isinstance(config, Mapping):
        wrong(field, f"must be a mapping, not {type(config).__name__}")
        return
    known = PLATFORM_KEYS.get(platform, ALL_PLATFORM_KEYS) if isinstance(platform, str) else ALL_PLATFORM_KEYS
    for key in config:
        if key not in known:
            wrong(f"{field}.{key}", f"is not a key of the {platform} configuration; {did_you_mean(str(key), known)}")
    if "timeout" in config:
        _seconds(config["timeout"], f"{field}.timeout", wrong)
        found.setdefault("timeout", config["timeout"])
    if "environment" in config:
        _environment(config["environment"], f"{field}.environment", wrong)
        if isinstance(config["environment"], Mapping) and isinstance(found.get("environment", {}), Mapping):
            found["environment"] = {**config["environment"], **found.get("environment", {})}
    named = {key: config[key] for key in ("cpu", "memory", "gpu") if key in config}
    if named and isinstance(found.get("resources", {}), Mapping):
        found["resources"] = {**found.get("resources", {}), **named}
    found["platform_config"] = dict(config)


def _normalise(found: dict[str, Any]) -> None:
    for key in ("timeout", "start_timeout"):
        if found.get(key) is not None:
            found[key] = float(found[key])
    if "cache" in found:
        found["cache"] = plain_cache(found["cache"])
    for key in _MERGED & found.keys():
        found[key] = dict(found[key] or {})
    if "environment" in found:
        found["environment"] = {key: str(value) for key, value in found["environment"].items()}


def _platform(value: Any, field: str, wrong: Wrong) -> None:
    if value not in PLATFORM_KEYS:
        wrong(field, f"{value!r} is not a platform; {did_you_mean(str(value), PLATFORM_KEYS)}")


def _text(value: Any, field: str, wrong: Wrong) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        wrong(field, f"must be a text that is not empty, not {value!r}")


def _seconds(value: Any, field: str, wrong: Wrong) -> None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= sys.float_info.max
    if value is not None and not good:
        wrong(field, f"must be a number of seconds above 0, or None for no limit, not {value!r:.80}")


def _whole(value: Any, field: str, wrong: Wrong) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        wrong(field, f"must be a whole number, not {value!r}")


def _yes_or_no(value: Any, field: str, wrong: Wrong) -> None:
    if not isinstance(value, bool):
        wrong(field, f"must be true or false, not {value!r}")


def _ship(value: Any, field: str, wrong: Wrong) -> None:
    if value not in SHIP:
        wrong(field, f"{value!r} is not a way to ship code; {did_you_mean(str(value), SHIP)}")


def _texts(value: Any, field: str, wrong: Wrong) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping):
        wrong(field, f"must be a mapping of names to texts, not {type(value).__name__}")
        return
    for key, text in value.items():
        if not isinstance(key, str):
            wrong(f"{field}.{key}", f"must be named by a text, not {key!r}")
        elif not isinstance(text, (str, int, float, bool)):
            wrong(f"{field}.{key}", f"must be a text, not {text!r}")
        elif isinstance(text, str) and (problem := problem_in(text)) is not None:
            wrong(f"{field}.{key}", problem)


def _environment(value: Any, field: str, wrong: Wrong) -> None:
    """What no environment can hold would fail at each run, without a word of which variable it is."""
    _texts(value, field, wrong)
    for name, text in value.items() if isinstance(value, Mapping) else ():
        if isinstance(name, str) and (not name or "=" in name or not _fits_a_variable(name)):
            wrong(field, f"{name!r} is not the name of a variable; write one, without '=' and zero bytes")
        elif isinstance(text, str) and not _fits_a_variable(text):
            wrong(f"{field}.{name}", f"holds a zero byte or half a character, which no variable can, in {text!r}")


def _fits_a_variable(text: str) -> bool:
    """The halves that stand for bytes which are no UTF-8 are in `os.environ` too."""
    try:
        return b"\0" not in text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


def _labels(value: Any, field: str, wrong: Wrong) -> None:
    _texts(value, field, wrong)
    queue = value.get("queue") if isinstance(value, Mapping) else None
    if not isinstance(queue, str):
        return
    if "," in queue or not queue or queue != queue.strip():  # `worker --queues` takes names with commas between
        wrong(
            f"{field}.queue",
            f"{queue!r} is not the name of a queue that a worker can serve; take one without commas and outer blanks",
        )
    if len(queue.encode("utf-8", "replace")) > LONGEST_QUEUE:
        wrong(f"{field}.queue", f"is too long for the name of a queue; at most {LONGEST_QUEUE} bytes")


def _resources(value: Any, field: str, wrong: Wrong) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping):
        wrong(field, f"must be a mapping of resources, not {type(value).__name__}")
        return
    for key in value:
        if key not in RESOURCE_KEYS:
            wrong(f"{field}.{key}", f"is not a resource of any platform; {did_you_mean(str(key), RESOURCE_KEYS)}")
    for key, read in (("cpu", unit_count), ("gpu", unit_count), ("memory", byte_count)):
        if value.get(key) is not None:
            try:
                read(value[key])
            except ValueError as problem:
                wrong(f"{field}.{key}", str(problem))


def _limits(value: Any, field: str, wrong: Wrong) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping):
        wrong(field, f"must be a mapping of limit names to whole numbers, not {type(value).__name__}")
        return
    for key, most in value.items():
        if not isinstance(key, str):
            wrong(f"{field}.{key}", f"must be named by a text, not {key!r}")
        elif not key.strip():
            wrong(field, f"the name of a limit must be a text that is not empty, not {key!r}")
        elif not isinstance(most, int) or isinstance(most, bool) or most < 1:
            wrong(f"{field}.{key}", f"must be a whole number from 1, not {most!r}")


_CHECKS: Mapping[str, Callable[[Any, str, Wrong], None]] = {
    "platform": _platform,
    "docker_image": _text,
    "timeout": _seconds,
    "start_timeout": _seconds,
    "resources": _resources,
    "environment": _environment,
    "labels": _labels,
    "cache": check_cache,
    "version": _text,
    "limits": _limits,
    "priority": _whole,
    "ship": _ship,
    "endless": _yes_or_no,
}
