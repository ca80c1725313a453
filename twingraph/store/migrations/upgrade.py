"""Runs the migrations. Alembic is imported only here, when a database is really older than this version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

HERE = Path(__file__).parent


def upgrade(database: Path, to: str = "head") -> None:
    """Lead a home's database forward. All revisions are one transaction: after a crash they are done or not."""
    engine = create_engine(URL.create("sqlite", database=str(database)))
    # SQLite's own driver commits before DDL unless it is told to leave transactions alone.
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("begin exclusive"))
    _upgrade(engine, HERE / "versions", to)


def upgrade_postgres(connect: Callable[[], Any], to: str = "head") -> None:
    """The same on PostgreSQL, over a connection of its own."""
    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    _upgrade(engine, HERE / "versions_postgres", to)


def _upgrade(engine: Engine, versions: Path, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "newline")
    scripts = ScriptDirectory.from_config(config)

    def steps(revision: str, _: object) -> object:
        return scripts._upgrade_revs(to, revision)

    context = EnvironmentContext(config, scripts, fn=steps, destination_rev=to)
    try:
        with context as environment, engine.begin() as connection:
            _run(environment, connection)
    finally:
        engine.dispose()


def _run(environment: EnvironmentContext, connection: Connection) -> None:
    environment.configure(connection=connection)
    with environment.begin_transaction():
        environment.run_migrations()
