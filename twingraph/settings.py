"""Settings, and the one reader of the environment and of `twingraph.toml`.

Order: a flag, then the environment, then the nearest `twingraph.toml` (this folder or one above it), then the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields
from functools import cache
from pathlib import Path
from typing import Any

from twingraph.core.errors import Problem, ValidationError
from twingraph.core.nearest import did_you_mean
from twingraph.core.quantities import byte_count
from twingraph.core.recordclass import recordclass

FILE_NAME = "twingraph.toml"
PREFIX = "TWINGRAPH_"
PROGRESS_MODES = ("auto", "live", "plain", "off")
LOG_LEVELS = ("debug", "info", "warning", "error")
DURABILITIES = ("normal", "full")
# What will decide where work is done and kept. To ignore it would do the work elsewhere than was asked.
NOT_YET = ("URL", "GRAPH_URL")
DISPATCHES = ("embedded", "celery")


@recordclass
class Settings:
    """What a person may set. In the environment `workers` is `TWINGRAPH_WORKERS`, and so on."""

    # The folder with the store, the blobs and the logs of embedded executions.
    home: Path
    # Most worker processes that run user code on this machine; None: four per core and at least 16.
    workers: int | None = None
    # How a run is shown on stderr. auto: drawn live on a terminal, plain lines elsewhere.
    progress: str = "auto"
    # Run components in this very process, one after another, where a debugger works.
    inline: bool = False
    # From which level on TwinGraph's own messages are shown; `debug` also shows tracebacks of its own errors.
    log_level: str = "warning"
    # `normal`: a killed process loses nothing. `full`: a power cut loses nothing either, and each commit waits.
    durability: str = "normal"
    # Where large values and code are kept, `s3://bucket/prefix?endpoint=URL` or `file:///folder`; None: in the home.
    blob_url: str | None = None
    # A file with secrets, `.toml` or lines `NAME=value`, which only its owner may read.
    secrets_file: Path | None = None
    # Where in Vault the secrets without a path are, each as a field: `secret/data/twingraph`.
    secrets_vault: str | None = None
    # Where records are kept when several machines work together, `postgresql://user@host/name`; None: in the home.
    database_url: str | None = None
    # The broker between conductors and workers on other machines, `redis://host/0` or `amqp://user@host//`; None: none.
    broker_url: str | None = None
    # Who carries nodes out: `embedded`, processes of this machine; `celery`, workers that the broker reaches.
    dispatch: str = "embedded"
    # A key that conductors and workers share and sign with; None: that of the home, where they share it.
    worker_key: str | None = field(default=None, repr=False)
    # Lanes (up to 64 nodes, one after another) that a worker holds at once; None: its processes, and up to 8 more.
    lanes: int | None = None
    # Processes in which a worker runs bodies of pipelines, at most; None: 16. 0: none, and a conductor asks no worker.
    bodies: int | None = None
    # A process that runs nodes is replaced after so many of them; None: 10,000.
    max_nodes_per_process: int | None = None
    # ... and when it holds more bytes than this after one; None: 1 GiB, or its share of `max_memory`.
    max_memory_per_process: int | None = None
    # A worker begins no lane for which it would not have the memory (bytes, over all its processes); None: any.
    max_memory: int | None = None
    # The file that was read, if any; said by `doctor`.
    file: Path | None = None


class SettingsError(ValidationError):
    """A setting cannot be used; names where it was written, the key and what is allowed."""


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """The settings of this process. A flag that is None was not given."""
    settings, problems = load_usable(flags, environ=environ, folder=folder)
    if problems:
        raise SettingsError(problems)
    return settings


def load_usable(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    called: Mapping[str, str] | None = None,
) -> tuple[Settings, Sequence[Problem]]:
    """The same with the default in the place of each that cannot be used, and what is wrong with those. `called`: flags
    by a name of the command's own."""
    environ = os.environ if environ is None else environ
    file = find_file(os.getcwd() if folder is None else folder)
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    if file is not None:
        _take_file(file, values, problems)
    _take_environment(environ, values, problems)
    for key, value in (flags or {}).items():
        if value is not None:
            flag = (called or {}).get(key) or _FLAGS.get(key, f"--{key.replace('_', '-')}")
            _take(key, value, flag, values, problems)
    if "home" not in values:
        values["home"] = _user_folder(environ) / ".twingraph"
    return Settings(file=file, **values), problems


def find_file(folder: str | Path) -> Path | None:
    """The nearest `twingraph.toml`, in this folder or above it."""
    place = str(folder)
    while True:
        candidate = os.path.join(place, FILE_NAME)
        if os.path.isfile(candidate):
            return Path(candidate)
        place, before = os.path.dirname(place), place
        if place == before:
            return None


@cache
def keys() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Settings) if field.name != "file")


@cache
def _names() -> tuple[tuple[str, str], ...]:
    """Each setting with the variable that says it."""
    return tuple((key, PREFIX + key.upper()) for key in keys())


def _user_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def _take_environment(environ: Mapping[str, str], values: dict[str, Any], problems: list[Problem]) -> None:
    for key, name in _names():
        given = environ.get(name, "")
        if given != "":
            _take(key, given, name, values, problems)
    asked = [PREFIX + key for key in NOT_YET if environ.get(PREFIX + key, "") not in ("", "embedded")]
    problems.extend(Problem(node=name, message="has no effect in this version yet; unset it") for name in asked)


def _take_file(file: Path, values: dict[str, Any], problems: list[Problem]) -> None:
    import tomllib  # only where there is a file to read: every command pays for what stands above

    try:
        read = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problems.append(Problem(message=f"cannot be read: {error}", node=str(file)))
        return
    for key, value in read.items():
        if key not in keys():
            problems.append(Problem(node=f"{file}: {key}", message=f"is not a setting; {did_you_mean(key, keys())}"))
        else:
            if key in ("home", "secrets_file") and isinstance(value, str):
                try:
                    value = str(file.parent / Path(value).expanduser())
                except RuntimeError as error:  # nobody has that name
                    problems.append(Problem(node=f"{file}: {key}", message=f"{value!r}: {error}"))
                    continue
            _take(key, value, f"{file}: {key}", values, problems)


def _take(key: str, raw: Any, place: str, values: dict[str, Any], problems: list[Problem]) -> None:
    try:
        values[key] = _READERS[key](raw)
    except ValueError as error:
        problems.append(Problem(node=place, message=str(error)))


def _one_of(allowed: tuple[str, ...]) -> Callable[[Any], str]:
    def read(raw: Any) -> str:
        word = str(raw).strip().lower()
        if word not in allowed:
            raise ValueError(f"{str(raw)!r} is not one of {', '.join(allowed)}; {did_you_mean(word, allowed)}")
        return word

    return read


def _whole_from(least: int) -> Callable[[Any], int]:
    def read(raw: Any) -> int:
        try:
            number = int(str(raw)) if not isinstance(raw, bool) else least - 1
        except ValueError:
            number = least - 1
        if number < least:
            raise ValueError(f"must be a whole number from {least}, not {raw!r}")
        return number

    return read


def _read_memory(raw: Any) -> int:
    found = byte_count(raw)
    if found < 1:
        raise ValueError(f"must be a number of bytes above 0, such as '512Mi' or '2G', not {raw!r}")
    return found


def _read_switch(raw: Any) -> bool:
    word = str(raw).strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"must be 1 or 0, not {raw!r}")


def _read_text(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError(f"must be a text, not {raw!r}")
    return raw.strip()


def _read_folder(raw: Any) -> Path:
    text = os.fspath(raw) if isinstance(raw, Path) else _read_text(raw)
    return _absolute(text) if os.path.isabs(text) else Path(text).expanduser().absolute()


@cache
def _absolute(text: str) -> Path:
    """Asked at each start of a workflow."""
    return Path(text)


def _read_database_url(raw: Any) -> str:
    text = _read_text(raw)
    if not text.startswith(("postgresql://", "postgres://")):
        shown = text.partition("://")[0] + "://..." if "://" in text else repr(text)  # it may hold a password
        raise ValueError(f"{shown} is not postgresql://user:password@host:port/name; SQLite is what a home has anyway")
    return text


def _read_blob_url(raw: Any) -> str:
    text = _read_text(raw)
    if not text.startswith(("s3://", "file:///")):
        raise ValueError(f"{text!r} is neither s3://bucket/prefix?endpoint=URL nor file:///folder")
    return text


def _read_broker_url(raw: Any) -> str:
    text = _read_text(raw)
    if not text.startswith(("redis://", "rediss://", "amqp://", "amqps://")):
        shown = text.partition("://")[0] + "://..." if "://" in text else repr(text)  # it may hold a password
        raise ValueError(f"{shown} is neither redis://:password@host:port/0 nor amqp://user:password@host:port//")
    return text


def _read_key(raw: Any) -> str:
    text = _read_text(raw)
    if len(text) < 16:
        raise ValueError("is too short to be a key; make one: python -c 'import secrets; print(secrets.token_hex(32))'")
    return text


_FLAGS = {"broker_url": "--broker"}  # where it is called otherwise

_READERS: Mapping[str, Callable[[Any], Any]] = {
    "home": _read_folder,
    "workers": _whole_from(1),
    "progress": _one_of(PROGRESS_MODES),
    "inline": _read_switch,
    "log_level": _one_of(LOG_LEVELS),
    "durability": _one_of(DURABILITIES),
    "blob_url": _read_blob_url,
    "secrets_file": _read_folder,
    "secrets_vault": _read_text,
    "database_url": _read_database_url,
    "broker_url": _read_broker_url,
    "dispatch": _one_of(DISPATCHES),
    "worker_key": _read_key,
    "lanes": _whole_from(1),
    "bodies": _whole_from(0),
    "max_nodes_per_process": _whole_from(1),
    "max_memory_per_process": _read_memory,
    "max_memory": _read_memory,
}
