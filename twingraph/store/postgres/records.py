"""The readers' side of the store on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from twingraph.core.errors import NotFoundError
from twingraph.core.execution import ExecutionRecord, LogRecord
from twingraph.core.nearest import nearest
from twingraph.core.statuses import ExecutionStatus
from twingraph.store.base import CachedOutcome, CacheRow, Row
from twingraph.store.levels import LEVELS
from twingraph.store.postgres import cache, statements
from twingraph.store.postgres.connection import Link
from twingraph.store.postgres.schema import HEAD
from twingraph.store.reading import LOG_COLUMNS, RECORD_COLUMNS, log_of, record_of

_RECORD = f"select {statements.lives('executions.owner')}, {RECORD_COLUMNS} from executions"
_NUMBER = "(select number from executions where id = %s)"
_KEEP_PLAN = "insert into plans values (%s, %s, %s, %s) on conflict do nothing returning entry"


class PostgresRecords:
    """One reader's connection; belongs to one thread at a time."""

    def __init__(self, url: str) -> None:
        self._link = Link(url, head=HEAD)
        self._link.open()

    def record(self, execution_id: str) -> ExecutionRecord:
        found = self._all(f"{_RECORD} where id = %s", execution_id)
        if found:
            return record_of(found[0][1:], lives=found[0][0])
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
        where = f"where {' and '.join(f'{name} = %s' for name in given)}" if given else ""
        rows = self._all(
            f"{_RECORD} {where} order by created_at desc, number desc limit %s offset %s",
            *given.values(),
            limit,
            offset,
        )
        total = self._all(f"select count(*) from executions {where}", *given.values())[0][0]
        return [record_of(row[1:], lives=row[0]) for row in rows], total

    def rows(self, execution_id: str, after: int = 0, *, values: bool = True, limit: int | None = None) -> list[Row]:
        rows = self._all(
            f"select seq, kind, at, body, {'data' if values else 'null'}, cause, actor from events "
            f"where execution = {_NUMBER} and seq > %s order by seq limit %s::bigint",
            execution_id,
            after,
            limit,
        )
        return [Row(*row) for row in rows]

    def logs(
        self,
        execution_id: str,
        *,
        after: int = 0,
        node: str | None = None,
        level: str | None = None,
        limit: int = 1000,
    ) -> list[LogRecord]:
        narrow = "and (node = %s or component = %s)" if node is not None else ""
        rows = self._all(
            f"select {LOG_COLUMNS} from logs where execution = {_NUMBER} and seq > %s and level >= %s {narrow} "
            "order by seq limit %s",
            execution_id,
            after,
            LEVELS[level] if level else 0,
            *((node, node) if node is not None else ()),
            limit,
        )
        return [log_of(row) for row in rows]

    def post(self, execution_id: str, kind: str, body: str) -> bool:
        posted = self._link.ask(statements.POST, {"id": execution_id, "kind": kind, "body": body})
        if not posted:
            self.record(execution_id)  # tells an id that nobody knows
        return bool(posted)

    def code(self, version: str) -> str | None:
        found = self._all(statements.CODE, version)
        return found[0][0] if found else None

    def plan(self, version: str, entry: str) -> str | None:
        found = self._all("select body from plans where code_version = %s and entry = %s", version, entry)
        return found[0][0] if found else None

    def keep_plan(self, version: str, entry: str, body: str) -> None:
        self._all(_KEEP_PLAN, version, entry, body, time.time())

    def cached(self, component: str, *, before: float | None = None, limit: int = 50) -> list[CacheRow]:
        return cache.of_component(self._link, component, before, limit)

    def find_cached(self, scope: str, key: str, *, begun_after: float, done_after: float) -> CachedOutcome | None:
        return cache.find(self._link, scope, key, begun_after=begun_after, done_after=done_after)

    def close(self) -> None:
        self._link.close()

    def values_of(self, execution_id: str, seqs: Sequence[int]) -> Mapping[int, str]:
        return dict(self._all(statements.VALUES_OF, execution_id, list(seqs)))

    def _all(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._link.ask(statement, values)
