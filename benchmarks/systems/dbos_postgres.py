"""DBOS with its records on PostgreSQL, which is what its makers advise for production."""

from __future__ import annotations

import os

from benchmarks.base import DATABASE_URL
from benchmarks.systems.dbos_sqlite import DbosSqlite


class DbosPostgres(DbosSqlite):
    name = "dbos-postgres"
    title = "DBOS, PostgreSQL"
    keeps = "PostgreSQL: a row per workflow, a row per step with its output"
    database = DATABASE_URL
    bodies = None

    def _database(self) -> str:
        return os.environ[DATABASE_URL]
