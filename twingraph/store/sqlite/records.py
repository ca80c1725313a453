"""The readers' side of the store on SQLite. Holds no transaction open, so it never stands in a writer's way."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from twingraph.core.errors import DamagedError, NotFoundError
from twingraph.core.execution import ExecutionRecord, LogRecord
from twingraph.core.nearest import nearest
from twingraph.core.statuses import ExecutionStatus
from twingraph.store.base import CachedOutcome, CacheRow, Row
from twingraph.store.home import Home
from twingraph.store.levels import LEVELS
from twingraph.store.reading import LOG_COLUMNS, OWNER, RECORD_COLUMNS, log_of, record_of
from twingraph.store.sqlite import cache
from twingraph.store.sqlite.connection import close_when_forgotten, connect, persistently
from twingraph.store.sqlite.journal import VALUES_OF

_RECORD = f"select {RECORD_COLUMNS} from executions"


class SqliteRecords:
    """One reader's connection; belongs to one thread at a time."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._path = home.database
        self._db = connect(self._path)
        close_when_forgotten(self, self._db)

    def record(self, execution_id: str) -> ExecutionRecord:
        found = self._all(f"{_RECORD} where id = ?", execution_id)
        if found:
            return self._record(found[0])
        known = [row[0] for row in self._all("select id from executions order by created_at desc limit 2000")]
        raise NotFoundError(f"no execution has the id {execution_id!r}", near=nearest(execution_id, known))

    def newest(self) -> str | None:
        own = "where origin <> 'detached' or replay_of is not null"
        found = self._all(f"select id from executions {own} order by number desc limit 1")
        return str(found[0][0]) if found else None

    def page(
        self, *, limit: int = 20, offset: int = 0, status: ExecutionStatus | None = None, workflow_id: str | None = None
    ) -> tuple[list[ExecutionRecord], int]:
        wanted = {"status": status, "workflow_id": workflow_id}
        given = {name: str(value) for name, value in wanted.items() if value is not None}
        where = f"where {' and '.join(f'{name} = ?' for name in given)}" if given else ""
        rows = self._all(
            f"{_RECORD} {where} order by created_at desc, number desc limit ? offset ?", *given.values(), limit, offset
        )
        total = self._all(f"select count(*) from executions {where}", *given.values())[0][0]
        return [self._record(row) for row in rows], total

    def rows(self, execution_id: str, after: int = 0, *, values: bool = True, limit: int | None = None) -> list[Row]:
        rows = self._all(
            f"select seq, kind, at, body, {'data' if values else 'null'}, cause, actor from events "
            "where execution = (select number from executions where id = ?) and seq > ? order by seq limit ?",
            execution_id,
            after,
            -1 if limit is None else limit,
        )
        return [Row(*row) for row in rows]

    def values_of(self, execution_id: str, seqs: Sequence[int]) -> Mapping[int, str]:
        return dict(self._all(VALUES_OF, execution_id, f"[{','.join(map(str, seqs))}]"))

    def logs(
        self,
        execution_id: str,
        *,
        after: int = 0,
        node: str | None = None,
        level: str | None = None,
        limit: int = 1000,
    ) -> list[LogRecord]:
        narrow = "and (node = ? or component = ?)" if node is not None else ""
        rows = self._all(
            f"select {LOG_COLUMNS} from logs "
            "where execution = (select number from executions where id = ?) and seq > ? and level >= ? "
            f"{narrow} order by seq limit ?",
            execution_id,
            after,
            LEVELS[level] if level else 0,
            *((node, node) if node is not None else ()),
            limit,
        )
        return [log_of(row) for row in rows]

    def post(self, execution_id: str, kind: str, body: str) -> bool:
        written = persistently(
            lambda: (
                self._db.execute(
                    "insert into inbox (execution, kind, body, at) "
                    "select number, ?, ?, ? from executions where id = ? and completed_at is null",
                    (kind, body, time.time(), execution_id),
                ).rowcount
            ),
            self._path,
        )
        if not written:
            self.record(execution_id)  # tells an id that nobody knows
        return bool(written)

    def code(self, version: str) -> str | None:
        found = self._all("select body from code where version = ?", version)
        return found[0][0] if found else None

    def cached(self, component: str, *, before: float | None = None, limit: int = 50) -> list[CacheRow]:
        return persistently(lambda: cache.of_component(self._db, component, before, limit), self._path)

    def find_cached(self, scope: str, key: str, *, begun_after: float, done_after: float) -> CachedOutcome | None:
        return persistently(
            lambda: cache.find(self._db, scope, key, begun_after=begun_after, done_after=done_after), self._path
        )

    def plan(self, version: str, entry: str) -> str | None:
        found = self._all("select body from plans where code_version = ? and entry = ?", version, entry)
        return found[0][0] if found else None

    def keep_plan(self, version: str, entry: str, body: str) -> None:
        self._all("insert or ignore into plans values (?, ?, ?, ?)", version, entry, body, time.time())

    def close(self) -> None:
        self._db.close()

    def _all(self, statement: str, *values: Any) -> list[Any]:
        return persistently(lambda: self._db.execute(statement, values).fetchall(), self._path)

    def _record(self, row: Any) -> ExecutionRecord:
        try:
            owner = row[OWNER]
            return record_of(row, lives=owner is not None and self._home.conductor_lives(owner))
        except (ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError) as error:
            raise DamagedError(
                f"{row[0]!r} is damaged in {self._path} ({error}); restore a copy of the home, or move it away"
            ) from error
