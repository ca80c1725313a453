"""What prune reads and removes, on PostgreSQL. A table with a column `execution` holds rows of one."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from psycopg import errors

from twingraph.core.errors import ConflictError
from twingraph.store.mentions import ids_in
from twingraph.store.postgres.connection import Connection, Link, place
from twingraph.store.postgres.schema import HEAD
from twingraph.store.postgres.statements import REPLAYS_ALONE
from twingraph.store.prune import Doomed, Retention

_LOCK = "hashtextextended('twingraph prune ' || current_schema(), 0)"
_ALONE = f"select pg_try_advisory_lock({_LOCK})"
_NO_LONGER_ALONE = f"select pg_advisory_unlock({_LOCK})"
_DOOMED = """
select number, id, name, completed_at from (
    select number, id, name, completed_at, row_number() over (partition by workflow_id order by number desc) as place
    from executions where completed_at is not null and (%(only)s::text is null or workflow_id = %(only)s)
) as ended where completed_at < %(before)s and place > %(keep)s order by number desc
"""
# Numbers of a sequence may be committed out of order, so every replay counts that is not removed with these.
_REMOVE = """
delete from executions
where number = any(%(numbers)s::bigint[]) and completed_at is not null
and number < (select max(number) from executions) and id not in (
    with recursive replayed(id) as (
        select replay_of from executions where replay_of is not null and not number = any(%(numbers)s::bigint[])
        union
        select executions.replay_of from executions join replayed on executions.id = replayed.id
        where executions.replay_of is not null
    )
    select id from replayed
)
returning number
"""
_REMOVE_NEWEST = """
delete from executions
where number = %s and completed_at is not null and number = (select max(number) from executions) returning number
"""
# From one execution to the next by the index, whatever rows they have.
_LEFT_OVER = """
with recursive held(number) as (
    select min(execution) from {table}
    union all
    select (select min(execution) from {table} where execution > held.number) from held where held.number is not null
)
select number from held where number is not null and not exists (
    select 1 from executions where executions.number = held.number
)
"""
_TABLES = """
select table_name from information_schema.columns
where table_schema = current_schema() and column_name = 'execution' order by 1
"""
_REMOVE_ROWS = """
delete from {table} where ctid = any(array(select ctid from {table} where execution = %s limit %s)) returning 1
"""
_AWAITED = """
select events.body from executions join events on events.execution = executions.number
where executions.completed_at is null and events.kind = 'detached_started'
"""
_UNUSED_CODE = """
select version from code where created_at < %s and not exists (
    select 1 from executions where code_version = code.version and not number = any(%s::bigint[])
)
"""
_REMOVE_CODE = """
delete from code where version = any(%s::text[]) and created_at < %s
and not exists (select 1 from executions where code_version = code.version) returning version
"""
_REMOVE_PLANS = "delete from plans where code_version not in (select version from code) returning entry"
_EVENTS = """
select execution, seq, body, coalesce(data, '') from events
where (execution, seq) > (%s, %s) order by execution, seq limit %s
"""
_ARTIFACTS = "select seq, execution, message from logs where seq > %s and stream = 'artifact' order by seq limit 500"
_COUNT = """
select (select coalesce(sum(seq), 0) from executions where number = any(%(numbers)s::bigint[])),
       (select count(*) from logs where execution = any(%(numbers)s::bigint[]))
"""
_PAGE = 500

# So long may the server take to notice that the session of a prune before is gone.
PATIENCE = 2.0


class _BeingAlone:
    """Takes the lock, which is the session's: for a connection that comes in place of a lost one anew."""

    def __init__(self, url: str, patience: float) -> None:
        self._patience = patience
        self._at_work = f"another prune is at work in {place(url)}; wait for it, it does the same"
        self._was_alone = False

    def __call__(self, connection: Connection) -> None:
        deadline = time.monotonic() + self._patience
        while connection.execute(_ALONE).fetchone() != (True,):
            if time.monotonic() > deadline:
                if self._was_alone:  # most likely that is still our own session: it is tried again
                    raise errors.LockNotAvailable(self._at_work)
                raise ConflictError(self._at_work)
            time.sleep(0.02)
        self._was_alone = True


class PostgresPrune:
    """See `store.prune.PruneStore`. One connection, for one thread; one prune at a time, over all machines."""

    def __init__(self, url: str, *, patience: float = PATIENCE) -> None:
        self._link = Link(url, head=HEAD, ready=_BeingAlone(url, patience))
        self._link.open()

    def newest(self) -> int:
        return int(self._all("select coalesce(max(number), 0) from executions")[0][0])

    def doomed(self, retention: Retention) -> list[Doomed]:
        given = {"only": retention.workflow, "before": retention.ended_before, "keep": retention.keep}
        return [Doomed(*row) for row in self._link.ask(_DOOMED, given)]

    def replays(self) -> Mapping[str, str]:
        return {row[0]: row[1] for row in self._all("select id, replay_of from executions where replay_of is not null")}

    def awaited(self) -> set[str]:
        return {mentioned for (body,) in self._all(_AWAITED) for mentioned in ids_in(body)}

    def remove(self, numbers: Sequence[int], newest: int) -> int:
        def take_away(connection: Connection, _: bool) -> int:
            with connection.transaction():
                connection.execute(REPLAYS_ALONE)
                return len(connection.execute(_REMOVE, {"numbers": list(numbers)}).fetchall())

        return self._link.run(take_away)

    def remove_whole(self, number: int) -> bool:
        tables = [table for (table,) in self._all(_TABLES)]

        def take_away(connection: Connection, _: bool) -> bool:
            with connection.transaction():
                connection.execute(REPLAYS_ALONE)
                gone = connection.execute(_REMOVE_NEWEST, (number,)).fetchone() is not None
                for table in tables if gone else ():
                    connection.execute(f"delete from {table} where execution = %s", (number,))
            return gone

        return self._link.run(take_away)

    def left_over(self) -> Iterator[tuple[str, int]]:
        for (table,) in self._all(_TABLES):
            for (number,) in self._all(_LEFT_OVER.format(table=table)):
                yield table, number

    def remove_rows(self, table: str, number: int, most: int) -> int:
        return len(self._all(_REMOVE_ROWS.format(table=table), number, most))

    def unused_code(self, before: float, without: Collection[int] = ()) -> list[str]:
        return [row[0] for row in self._all(_UNUSED_CODE, before, list(without))]

    def remove_code(self, versions: Sequence[str], newest: int, before: float) -> int:
        gone = len(self._all(_REMOVE_CODE, list(versions), before))
        self._all(_REMOVE_PLANS)
        return gone

    def texts(self, without: Collection[int]) -> Iterator[str]:
        """What waits in the inbox comes first: it may become an event while those are read."""
        yield "\n".join(body for (body,) in self._all("select body from inbox"))
        yield "\n".join(error for (error,) in self._all("select error from executions where error is not null"))
        yield from self._events(without)
        yield from self._artifacts(without)

    def _events(self, without: Collection[int]) -> Iterator[str]:
        number, seq, most = 0, 0, _PAGE
        while page := self._all(_EVENTS, number, seq, most):
            number, seq = page[-1][:2]
            text = "\n".join(f"{body}\n{data}" for execution, _, body, data in page if execution not in without)
            most = max(1, min(5_000, most * 4_000_000 // max(1, len(text)))) if text else _PAGE  # some MB each
            yield text

    def _artifacts(self, without: Collection[int]) -> Iterator[str]:
        at = 0
        while page := self._all(_ARTIFACTS, at):
            at = page[-1][0]
            yield "\n".join(message for _, number, message in page if number not in without)

    def code_texts(self, without: Collection[str]) -> Iterator[str]:
        for version, body in self._all("select version, body from code"):
            if version not in without:
                yield body

    def count(self, numbers: Sequence[int]) -> int:
        """Events by the last number of each, since they have no gaps."""
        events, lines = self._link.ask(_COUNT, {"numbers": list(numbers)})[0]
        return int(events) + int(lines)

    def free_bytes(self) -> int:
        """The server looks after its own files."""
        return 0

    def close(self) -> None:
        self._link.close(last=_NO_LONGER_ALONE)

    def _all(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._link.ask(statement, values)
