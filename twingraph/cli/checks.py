"""The looks that `doctor` takes. 'broken' only for what is configured: an extra that nobody asked for is absent."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from twingraph.cli.app import App
from twingraph.cli.parser import version
from twingraph.cli.words import plural, size, stopped
from twingraph.core.errors import Problem, TwinGraphError
from twingraph.core.recordclass import recordclass
from twingraph.settings import Settings
from twingraph.wiring import secrets_of

# Extra -> a module that it brings.
EXTRAS = {
    "server": "fastapi",
    "celery": "celery",
    "docker": "docker",
    "kubernetes": "kubernetes",
    "aws": "boto3",
    "gremlin": "gremlin_python",
    "postgres": "psycopg",
    "s3": "boto3",
    "streaming": "confluent_kafka",
    "spark": "pyspark",
    "flink": "pyflink",
    "components": "duckdb",
}
_LITTLE_SPACE = 500_000_000
_CLOCKS_APART = 1.0  # s
_STORAGE = "see docs/guides/storage.md"
_MOST_STOPPED = 5
_DOCKER_SECONDS = 2.0


@recordclass
class Check:
    name: str
    state: Literal["ok", "absent", "hint", "broken"]
    message: str
    remedy: str | None = None


def all_checks(app: App) -> list[Check]:
    database = list(check_database(app))
    readable = all(check.state != "broken" for check in database)
    return [
        check_python(),
        Check(name="twingraph", state="ok", message=version()),
        *check_settings(app.settings, app.settings_problems),
        check_home(app.settings.home),
        *database,
        *(check_executions(app) if readable else ()),
        *check_blobs(app, readable=readable),
        *check_broker(app),
        *check_secrets(app.settings),
        check_docker(),
        *check_extras(),
    ]


def check_python() -> Check:
    place = f"{platform.python_version()} ({sys.executable})"
    return Check(name="python", state="ok", message=place)


def check_settings(settings: Settings, problems: Sequence[Problem]) -> Iterator[Check]:
    for problem in problems:
        remedy = "correct it: no other command runs before; the checks below take the default"
        yield Check(name="settings", state="broken", message=str(problem), remedy=remedy)
    if not problems:
        place = str(settings.file) if settings.file else "no twingraph.toml; defaults"
        yield Check(name="settings", state="ok", message=place)


def check_home(home: Path) -> Check:
    """Whether a file can be written there; a home that is not there yet is made by the first run."""
    existing = next((place for place in (home, *home.parents) if place.exists()), Path("/"))
    if not existing.is_dir():
        return Check(
            name="home",
            state="broken",
            message=f"{existing} is not a folder",
            remedy="choose another with TWINGRAPH_HOME",
        )
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        remedy = f"make {existing} writable, or choose another with TWINGRAPH_HOME"
        return Check(name="home", state="broken", message=f"{home}: {error.strerror}", remedy=remedy)
    if free < _LITTLE_SPACE:
        return Check(
            name="home", state="hint", message=f"{home}: only {size(free)} free", remedy="make room on this disk"
        )
    used = f"{size(_size_of(home))} used, {size(free)} free" if home.exists() else "made by the first run"
    return Check(name="home", state="ok", message=f"{home} ({used})")


def _size_of(folder: Path) -> int:
    total = 0
    for place, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.lstat(os.path.join(place, file)).st_size
            except FileNotFoundError:
                continue  # a worker has just removed it
    return total


def check_database(app: App) -> Iterator[Check]:
    """Whether the database of the settings can be reached and used, and how those who use it stand."""
    try:
        found = app.backend.check_database(app.settings)
    except TwinGraphError as error:
        yield Check(name="database", state="broken", message=str(error), remedy=_STORAGE)
        return
    if found is None:
        return
    wrong = (
        f"PostgreSQL {found.server} is older than 14" if found.too_old
        else f"its schema {found.schema} is of a newer TwinGraph" if not found.schema_known
        else "it only reads, as a copy of another server does" if not found.writes
        else None
    )  # fmt: skip
    if wrong is not None:
        yield Check(name="database", state="broken", message=f"{found.place}: {wrong}", remedy=_STORAGE)
        return
    schema = f"schema {found.schema}" if found.schema is not None else "no tables yet, the first run makes them"
    yield Check(name="database", state="ok", message=f"{found.place} (PostgreSQL {found.server}, {schema})")
    yield _clock(found.clock_ahead)
    if found.schema is not None:
        yield _leases(found.alive, found.dead, found.left)


def _clock(ahead: float) -> Check:
    way = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) < _CLOCKS_APART:
        return Check(name="database clock", state="ok", message="agrees with this machine's")
    remedy = "set both by NTP: times of executions would not fit together, and ttl of cached work would be off"
    return Check(name="database clock", state="hint", message=way, remedy=remedy)


def _leases(alive: int, dead: int, left: int) -> Check:
    told = f"{alive:,} {'process is' if alive == 1 else 'processes are'} alive"
    if dead:
        told += f", {dead:,} gone without a word"
    if not left:
        return Check(name="database leases", state="ok", message=told)
    message = f"{told}; {plural(left, 'execution')} that nobody carries out"
    return Check(name="database leases", state="hint", message=message, remedy="go on: twingraph resume --all")


def check_executions(app: App) -> Iterator[Check]:
    """Opening the store says whether it can be read; what stands still is named with its remedy."""
    if not app.settings.home.exists() and app.settings.database_url is None:
        yield Check(name="executions", state="ok", message="none yet")
        return
    try:
        records, total = app.reader.executions(limit=500)
    except TwinGraphError as error:
        yield Check(name="executions", state="broken", message=str(error))
        return
    still = [record for record in records if stopped(record)]
    if not still:
        yield Check(name="executions", state="ok", message=f"{total:,} recorded, none stopped")
        return
    names = ", ".join(f"{record.name} ({record.id})" for record in still[:_MOST_STOPPED])
    more = " and more" if len(still) > _MOST_STOPPED else ""
    remedy = "go on with them: twingraph resume --all"
    yield Check(name="executions", state="hint", message=f"{len(still):,} stopped: {names}{more}", remedy=remedy)


def check_blobs(app: App, *, readable: bool = True) -> Iterator[Check]:
    """Whether large values can be written, read and removed where they are kept; when the records can be read, also
    whether these are the only ones that keep values there."""
    if app.settings.blob_url is None and not app.settings.home.exists():
        return
    try:
        yield Check(name="blobs", state="ok", message=app.backend.check_blobs(app.settings))
        shared = app.backend.blob_neighbours(app.settings) if readable else None
    except TwinGraphError as error:
        yield Check(name="blobs", state="broken", message=str(error), remedy=_STORAGE)
        return
    if shared is not None:
        yield Check(name="blobs: shared", state="hint", message=shared, remedy=_STORAGE)


def check_broker(app: App) -> Iterator[Check]:
    """Whether the broker of the settings answers, and whether it keeps what it is given."""
    try:
        found = app.backend.check_broker(app.settings)
    except TwinGraphError as error:
        yield Check(name="broker", state="broken", message=str(error))
        return
    if found is None:
        return
    if found.wrong is not None:
        remedy = "start it, or correct TWINGRAPH_BROKER_URL"
        yield Check(name="broker", state="broken", message=f"{found.place}: {found.wrong}", remedy=remedy)
        return
    yield Check(name="broker", state="ok", message=f"{found.server} at {found.place}")
    if found.risk is not None:
        yield Check(name="broker: loss", state="hint", message=found.risk, remedy=found.remedy)


def check_secrets(settings: Settings) -> Iterator[Check]:
    """Whether each provider that is configured can be asked; no value is read out of a vault."""
    for provider in secrets_of(settings).providers:
        name = f"secrets: {provider.name}"
        try:
            yield Check(name=name, state="ok", message=provider.check())
        except TwinGraphError as error:
            yield Check(name=name, state="broken", message=str(error), remedy="see docs/guides/secrets.md")


def check_docker() -> Check:
    """Asks the engine for a sign of life; no client library is needed for that."""
    host = os.environ.get("DOCKER_HOST", "")
    if host and not host.startswith("unix://"):
        return _docker_elsewhere(host)
    path = host.removeprefix("unix://") or "/var/run/docker.sock"
    if _answers(lambda: _connected(path)):
        return Check(name="docker", state="ok", message=f"reachable at {path}")
    if host:
        remedy = "start the daemon, or unset DOCKER_HOST"
        return Check(
            name="docker", state="broken", message=f"DOCKER_HOST names {path}, which does not answer", remedy=remedy
        )
    return Check(name="docker", state="absent", message="no daemon here; needed only for platform='docker'")


def _docker_elsewhere(host: str) -> Check:
    """One on a network is asked too; where certificates are wanted, it is only seen whether anybody listens."""
    try:
        address = urlsplit(host)
        secure = address.scheme == "https" or bool(os.environ.get("DOCKER_TLS_VERIFY"))
        place = (address.hostname or "127.0.0.1", address.port or (2376 if secure else 2375))
    except ValueError:
        message = f"DOCKER_HOST is {host}, which is no address"
        return Check(name="docker", state="broken", message=message, remedy="write it as tcp://host:2375")
    if address.scheme not in ("tcp", "http", "https"):
        message = f"DOCKER_HOST is {host}, which was not tried"
        return Check(name="docker", state="hint", message=message, remedy="try it with: docker version")
    if _answers(lambda: socket.create_connection(place, _DOCKER_SECONDS), asks=not secure):
        found = f"somebody listens at {host}; the certificates were not tried" if secure else f"reachable at {host}"
        return Check(name="docker", state="ok", message=found)
    message = f"DOCKER_HOST is {host}, which does not answer"
    remedy = "start the daemon there, see that this machine reaches it, or unset DOCKER_HOST"
    return Check(name="docker", state="broken", message=message, remedy=remedy)


def _connected(path: str) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(_DOCKER_SECONDS)
        link.connect(path)
    except OSError:
        link.close()
        raise
    return link


def _answers(connect: Callable[[], socket.socket], *, asks: bool = True) -> bool:
    try:
        with connect() as link:
            if asks:
                link.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return not asks or link.recv(16).split()[1:2] == [b"200"]  # not what a proxy in between answers
    except (OSError, UnicodeError):  # a name that no machine can have
        return False


def check_extras() -> Iterator[Check]:
    missing = []
    for extra, module in EXTRAS.items():
        if find_spec(module) is not None:
            yield Check(name=extra, state="ok", message="installed")
        else:
            missing.append(extra)
    if missing:
        remedy = f"when needed: pip install 'twingraph[{missing[0]}]', and so on"
        yield Check(name="extras", state="absent", message=f"not installed: {', '.join(missing)}", remedy=remedy)
