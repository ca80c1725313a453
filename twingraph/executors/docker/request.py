"""What is asked of the engine for one attempt: the container's name, its labels, what bounds it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from twingraph.core.codec_base import dumps_sorted, is_whole
from twingraph.core.hashing import content_hash, signature
from twingraph.core.nearest import did_you_mean
from twingraph.core.quantities import byte_count, unit_count
from twingraph.core.recordclass import recordclass
from twingraph.executors.base import Task
from twingraph.executors.one_file import BOOT

FOLDER = "/.twingraph"
FIRST_FOLDER = f"{FOLDER}/1"  # of the first run there
PULL = {"always": "always", "missing": "missing", "ifnotpresent": "missing", "never": "never"}
_LEAST_MEMORY = 6 << 20  # what the engine itself demands


class RequestError(ValueError):
    """What the author asked for cannot be had anywhere."""


@recordclass
class Request:
    """A container, in the engine's words."""

    name: str
    image: str
    entrypoint: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    labels: Mapping[str, str]
    host: Mapping[str, Any]  # the host configuration
    user: str | None = None
    pull: str = "missing"
    credentials: Mapping[str, str] | None = field(default=None, repr=False)


def request_of(task: Task, home: str, key: bytes) -> Request:
    """RequestError names the setting that is wrong."""
    config = task.config
    if not task.image:
        raise RequestError(
            "docker_image is missing: name the image in which it is to run, as docker_image='python:3.9'"
        )
    name = name_of(task, home)
    hidden = [secret for secret in task.secrets if secret]
    return Request(
        name=name,
        image=task.image,
        entrypoint=[python_of(task), "-B", "-c", BOOT],
        # The rest goes in with the payload: anybody may look at how a container was made, and the engine takes UTF-8.
        environment={
            k: v for k, v in task.environment.items() if is_whole(k + v) and not any(secret in v for secret in hidden)
        },
        labels={**{str(k): str(v) for k, v in task.labels.items()}, **labels_of(task, home, key)},
        host=host_of(task),
        user=_optional(config.get("user"), "user"),
        pull=_pull(config.get("pull_policy")),
        credentials=_credentials(config.get("credentials")),
    )


def python_of(task: Task) -> str:
    return _text(task.config.get("python") or "python3", "python")


def name_of(task: Task, home: str) -> str:
    """The same for the same attempt, whoever asks."""
    own = content_hash(f"{task.execution}\n{task.node}".encode())[:12]
    readable = re.sub(r"[^a-zA-Z0-9_.-]+", "-", task.node)[:40].strip("-.")
    return f"twingraph-{home[:8]}-{own}-{readable or 'node'}-{task.attempt}"


def token_of(name: str) -> str:
    """By which the runner's words are known among what else a container says."""
    return content_hash(name.encode())[:12]


def labels_of(task: Task, home: str, key: bytes) -> dict[str, str]:
    return {
        "twingraph.home": home,
        "twingraph.execution": task.execution,
        "twingraph.node": task.node,
        "twingraph.attempt": str(task.attempt),
        "twingraph.component": task.component,
        "twingraph.work": work_of(task, key),
    }


def work_of(task: Task, key: bytes) -> str:
    """Equal for attempts that do the same. Keyed, since arguments may hold secrets and anybody may read a label."""
    parts = [task.entry, task.code_version, task.image or "", task.options or "", dumps_sorted(dict(task.environment))]
    return signature(key, "work", *parts, *(part for pair in task.args for part in pair))[:32]


def host_of(task: Task) -> dict[str, Any]:
    config, resources = task.config, task.resources
    host: dict[str, Any] = {}
    memory = resources.get("memory") or config.get("memory")
    if memory:
        most = _read(byte_count, memory, "memory")
        if most < _LEAST_MEMORY:
            raise RequestError(f"config.memory: {memory!r} is less than the 6 MiB that a container needs")
        host.update(mem_limit=most, memswap_limit=most)
    cores = resources.get("cpu") or config.get("cpu")
    if cores:
        host["nano_cpus"] = int(_read(unit_count, cores, "cpu") * 1e9)
    devices = resources.get("gpu", config.get("gpu"))
    if devices:
        count = -1 if devices is True or devices == "all" else int(_read(unit_count, devices, "gpu"))
        host["gpus"] = count
    if config.get("volumes"):
        host["binds"] = _volumes(config["volumes"])
    if config.get("network"):
        host["network_mode"] = _text(config["network"], "network")
    return host


def _volumes(given: Any) -> list[str]:
    """`{'/data': '/container/data'}`: a folder of the engine's machine, or the name of a volume; `':ro'` may follow."""
    if not isinstance(given, Mapping):
        raise RequestError(f"config.volumes: must map a folder or a volume to a place in the container, not {given!r}")
    binds = []
    for source, target in given.items():
        place = _text(target, f"volumes.{source}")
        path, _, mode = place.partition(":")
        if not path.startswith("/") or (mode and mode not in ("ro", "rw")):
            raise RequestError(f"config.volumes.{source}: {place!r} is no absolute path with 'ro' or 'rw' behind it")
        binds.append(f"{source}:{path}:{mode or 'rw'}")
    return binds


def _pull(given: Any) -> str:
    if given is None:
        return "missing"
    found = PULL.get(str(given).lower())
    if found is None:
        raise RequestError(f"config.pull_policy: {given!r} is none; {did_you_mean(str(given), PULL)}")
    return found


def _credentials(given: Any) -> Mapping[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or not {"username", "password"} <= given.keys():
        raise RequestError("config.credentials: must have `username` and `password`")
    return {str(key): str(value) for key, value in given.items()}


def _read(read: Any, value: Any, name: str) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise RequestError(f"config.{name}: {error}") from None


def _optional(value: Any, name: str) -> str | None:
    return None if value is None else str(value) if isinstance(value, int) else _text(value, name)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RequestError(f"config.{name}: must be a text that is not empty, not {value!r}")
    return value
