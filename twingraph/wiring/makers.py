"""The makers of this installation: where records and values are kept, and how nodes reach workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from twingraph.core.errors import ConflictError, NotFoundError, Problem, TwinGraphError, ValidationError
from twingraph.core.hashing import signature
from twingraph.core.plan import Plan
from twingraph.core.statuses import EXECUTION_OVER
from twingraph.dispatch.base import Dispatch
from twingraph.dispatch.routing import Routing
from twingraph.dispatch.secrets import Resolving
from twingraph.settings import Settings
from twingraph.store.blobs.base import BlobStore
from twingraph.store.blobs.catalog import open_blobs
from twingraph.store.blobs.settled import blob_address as blob_address
from twingraph.store.home import Home
from twingraph.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from twingraph.dispatch.broker import BrokerHealth
    from twingraph.dispatch.host_process import Elsewhere
    from twingraph.dispatch.jobs import JobDispatch
    from twingraph.dispatch.secrets import Secrets
    from twingraph.engine.reader import Reader
    from twingraph.executors.base import Executor
    from twingraph.executors.debugging import OnError
    from twingraph.store.base import Store
    from twingraph.store.postgres.health import Health

# Where this version can carry a node out.
PLATFORMS = ("local", "docker")


def open_home(settings: Settings) -> Home:
    """The folder of blobs and locks, and of the records unless they are elsewhere: see `open_store`."""
    return Home(Path(settings.home)).open()


def open_store(home: Home, settings: Settings | None = None) -> Store:
    """Where the records of this home are: in the database of the settings, without any in the home itself.

    It is made or migrated when that is needed. When it cannot be used the home is closed.
    """
    if settings is None or settings.database_url is None:
        return SqliteStore(home, durability=settings.durability if settings else "normal")
    try:
        from twingraph.store.postgres.store import PostgresStore

        return PostgresStore(settings.database_url)
    except BaseException:
        home.close()
        raise


def read(home: Home, settings: Settings | None = None, *, leaves: bool = False) -> Reader:
    """A reader of this home; its values are where the settings say, without any in the home.

    Its modules load on first use: a run that nobody looks at never pays for them. With `leaves` the home is closed
    together with it.
    """
    from twingraph.engine.reader import Reader

    blobs = blobs_of(settings or Settings(home=home.path), home)
    return Reader(open_store(home, settings).records(), blobs, home.close if leaves else None)


def blobs_of(settings: Settings, home: Home) -> BlobStore:
    return open_blobs(blob_address(settings, home))


def check_blobs(settings: Settings) -> str:
    """Where values are kept, having tried it. StoreError, or MissingExtraError, says what is wrong."""
    home = open_home(settings)
    try:
        return blobs_of(settings, home).check()
    finally:
        home.close()


def blob_neighbours(settings: Settings) -> str | None:
    """Why a prune would be refused: who else keeps values at the same address."""
    from twingraph.wiring.blob_users import check_alone

    health = check_database(settings)
    if health is not None and not health.schema_current:  # to open it would make its tables
        return None
    home = open_home(settings)
    try:
        check_alone(settings, home, open_store(home, settings), blobs_of(settings, home))
    except ConflictError as error:
        return str(error)
    finally:
        home.close()
    return None


def check_database(settings: Settings) -> Health | None:
    """How the database of the settings stands; None where there is none. StoreError, or MissingExtraError, says what is
    wrong."""
    if settings.database_url is None:
        return None
    from twingraph.store.postgres.health import look

    return look(settings.database_url)


def check_broker(settings: Settings) -> BrokerHealth | None:
    """How the broker of the settings stands; None where there is none. MissingExtraError without its client."""
    if settings.broker_url is None:
        return None
    from twingraph.dispatch.broker import look

    return look(settings.broker_url)


class Carrying(NamedTuple):
    """Who carries nodes out, and who wants to know of each commit, and of what comes from or goes to others."""

    dispatch: Dispatch
    committed: Callable[[Collection[str]], None] | None = None
    adopted: Callable[[str, int], None] = lambda execution, epoch: None
    left: Callable[[str, bool], None] = lambda execution, over: None
    elsewhere: Elsewhere | None = None  # where bodies may run


def dispatch_of(
    settings: Settings, home: Home, secret: bytes, conductor: str, on_error: OnError | None = None
) -> Carrying:
    if settings.dispatch == "celery" and not settings.inline and on_error is None:
        return _elsewhere_all(settings, home, secret, conductor)
    return Carrying(Resolving(_workers(settings, home, secret, on_error), lambda: secrets_of(settings)))


def _elsewhere_all(settings: Settings, home: Home, secret: bytes, conductor: str) -> Carrying:
    """Workers that a broker reaches; they look secrets up themselves."""
    from twingraph.dispatch.celery.application import make_app
    from twingraph.dispatch.celery.desk import CeleryDispatch
    from twingraph.dispatch.celery.messages import probe_of
    from twingraph.dispatch.celery.worker import seal_of

    place = _place(settings, home, secret)
    blobs = blobs_of(settings, home)
    desk = CeleryDispatch(
        make_app(settings),
        conductor,
        place,
        seal_of(settings, home, blobs),
        secret,
        lambda: blobs.put(probe_of(place)),
        is_over=partial(_is_over, settings, home),
    )
    elsewhere = desk.hosts.elsewhere if settings.bodies != 0 else None
    return Carrying(desk, desk.committed, desk.adopted, desk.left, elsewhere)


def _place(settings: Settings, home: Home, secret: bytes) -> str:
    """What tells one database, or one home that is its own, from another."""
    return signature(secret, "home", settings.database_url or str(home.path.resolve()))[:32]


def secrets_of(settings: Settings) -> Secrets:
    """The providers of secrets that are configured."""
    from twingraph.dispatch.secrets.catalog import configured

    return configured(os.environ, settings.secrets_file, settings.secrets_vault)


def _workers(settings: Settings, home: Home, secret: bytes, on_error: OnError | None) -> Dispatch:
    if settings.inline or on_error is not None:
        from twingraph.dispatch.inline import InlineDispatch

        return InlineDispatch(blobs_path=blob_address(settings, home), secret_key=secret, on_error=on_error)
    from twingraph.dispatch.embedded import EmbeddedPool, options_of

    address, projects = blob_address(settings, home), str(home.path / "cache" / "projects")
    pool = EmbeddedPool(options_of(settings), blobs_path=address, secret_key=secret, projects=projects)
    return Routing(pool, {name: partial(_elsewhere, name, settings, home, secret) for name in PLATFORMS[1:]})


def _elsewhere(platform: str, settings: Settings, home: Home, secret: bytes) -> JobDispatch:
    """Runs on another platform. Nothing of it is imported before the first one."""
    from twingraph.dispatch.jobs import JobDispatch

    return JobDispatch(partial(_executor, platform, settings, home, secret), partial(_is_over, settings, home))


def _is_over(settings: Settings, home: Home, execution: str) -> bool:
    """Whether nobody can want what is left of it."""
    with closing(read(home, settings)) as reader:
        try:
            return reader.record(execution).status in EXECUTION_OVER
        except NotFoundError:
            return True


def _executor(platform: str, settings: Settings, home: Home, secret: bytes) -> Executor:
    from twingraph.executors.catalog import executor

    place = _place(settings, home, secret)  # two homes may use one engine
    return executor(platform, os.environ, place, secret, blobs_of(settings, home), home.path / "compiled")


def clear_elsewhere(execution: str, platforms: Iterable[str], settings: Settings, home: Home, secret: bytes) -> None:
    """End what is left on other platforms of an execution that was cancelled after its process was gone."""
    for platform in platforms:
        with suppress(TwinGraphError):  # who uses it next does so
            executor = _executor(platform, settings, home, secret)
            try:
                executor.clear(execution)
            finally:
                executor.close()


def check_platforms(plan: Plan) -> None:
    """A node must never run elsewhere than its author said."""
    wrong = [
        Problem(
            node=spec.component,
            field="platform",
            message=f"{spec.platform!r} cannot be used yet: this version carries nodes out on {', '.join(PLATFORMS)}",
        )
        for spec in plan.specs
        if spec.platform not in PLATFORMS
    ]
    wrong += [
        Problem(
            node=spec.component,
            field="docker_image",
            message="is missing: name the image, as docker_image='python:3.9'",
        )
        for spec in plan.specs
        if spec.platform == "docker" and not spec.docker_image
    ]
    if wrong:
        raise ValidationError(wrong)
