"""The makers of this installation: where records and values are kept, and how nodes reach workers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from twingraph.core.errors import Problem, ValidationError
from twingraph.core.plan import Plan
from twingraph.dispatch.base import Dispatch
from twingraph.dispatch.secrets import Resolving
from twingraph.settings import Settings
from twingraph.store.blobs.local import LocalBlobs
from twingraph.store.home import Home
from twingraph.store.sqlite.schema import prepare

if TYPE_CHECKING:
    from twingraph.dispatch.secrets import Secrets
    from twingraph.engine.reader import Reader
    from twingraph.executors.debugging import OnError

# Where this version can carry a node out.
PLATFORMS = ("local",)


def open_home(settings: Settings) -> Home:
    home = Home(Path(settings.home)).open()
    prepare(home)
    return home


def read(home: Home) -> Reader:
    """A reader of this home. Its modules load on first use: a run that nobody looks at never pays for them."""
    from twingraph.engine.reader import Reader
    from twingraph.store.sqlite.records import SqliteRecords

    return Reader(SqliteRecords(home), LocalBlobs(home.path))


def dispatch_of(settings: Settings, home: Home, secret: bytes, on_error: OnError | None = None) -> Dispatch:
    return Resolving(_workers(settings, home, secret, on_error), lambda: secrets_of(settings))


def secrets_of(settings: Settings) -> Secrets:
    """The providers of secrets that are configured."""
    from twingraph.dispatch.secrets.catalog import configured

    return configured(os.environ, settings.secrets_file, settings.secrets_vault)


def _workers(settings: Settings, home: Home, secret: bytes, on_error: OnError | None) -> Dispatch:
    if settings.inline or on_error is not None:
        from twingraph.dispatch.inline import InlineDispatch

        return InlineDispatch(blobs_path=str(home.path), secret_key=secret, on_error=on_error)
    from twingraph.dispatch.embedded import EmbeddedPool, PoolOptions

    options = PoolOptions() if settings.workers is None else PoolOptions(workers=settings.workers)
    return EmbeddedPool(options, blobs_path=str(home.path), secret_key=secret)


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
    if wrong:
        raise ValidationError(wrong)
