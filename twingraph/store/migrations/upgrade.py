"""Runs the migrations. Alembic is imported only here, when a home is really older than this version."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine, event
from sqlalchemy.engine import Connection


def upgrade(database: Path, to: str = "head") -> None:
    """Lead the database forward. All revisions are one transaction: after a crash they are done or they are not."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    engine = create_engine(URL.create("sqlite", database=str(database)))
    # SQLite's own driver commits before DDL unless it is told to leave transactions alone.
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("begin exclusive"))

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
