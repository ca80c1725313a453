"""What prune reads and removes, on SQLite. A table with a column `execution` holds rows of one, which go with it."""

from __future__ import annotations

import json
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from twingraph.store.home import Home
from twingraph.store.mentions import ids_in
from twingraph.store.prune import Doomed, Retention
from twingraph.store.sqlite.connection import connect, persistently

_DOOMED = """
select number, id, name, completed_at from (
    select number, id, name, completed_at, row_number() over (partition by workflow_id order by number desc) as place
    from executions where completed_at is not null and (? is null or workflow_id = ?)
) where completed_at < ? and place > ? order by number desc
"""
# Numbers are given in order and never again, so what came since the plan was made has a greater one.
_REMOVE = """
delete from executions
where number in (select value from json_each(?)) and completed_at is not null
and number < (select max(number) from executions) and id not in (
    with recursive replayed(id) as (
        select replay_of from executions where number > ? and replay_of is not null
        union
        select executions.replay_of from executions join replayed on executions.id = replayed.id
        where executions.replay_of is not null
    )
    select id from replayed
)
"""
_REMOVE_NEWEST = """
delete from executions
where number = ? and completed_at is not null and number = (select max(number) from executions)
"""
# From one execution to the next by the index, whatever rows they have: a distinct over all rows reads all of them.
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
select distinct tables.name from sqlite_master as tables join pragma_table_info(tables.name) as columns
where tables.type = 'table' and columns.name = 'execution' order by tables.name
"""
_KEY = "select name from pragma_table_info(?) where pk > 0 order by pk"
_AWAITED = """
select events.body from executions join events on events.execution = executions.number
where executions.completed_at is null and events.kind = 'detached_started'
"""
_UNUSED_CODE = """
select version from code where created_at < ?
and version not in (
    select code_version from executions
    where code_version is not null and number not in (select value from json_each(?))
)
"""
_REMOVE_CODE = """
delete from code where version in (select value from json_each(?)) and created_at < ?
and version not in (select code_version from executions where number > ? and code_version is not null)
"""
_EVENTS = """
select execution, seq, body, coalesce(data, '') from events
where (execution, seq) > (?, ?) order by execution, seq limit ?
"""
_LAST = "select coalesce(sum(seq), 0) from executions where number in (select value from json_each(?))"
_LINES = "select count(*) from (select 1 from logs where execution in (select value from json_each(?)) limit 1000000)"
_PAGE = 500
_CHECKPOINT_EVERY = 50  # changes, each of some hundred pages
_ARTIFACTS = "select seq, execution, message from logs where seq > ? and stream = 'artifact' order by seq limit 500"


class SqlitePrune:
    """See `store.prune.PruneStore`. One connection, for one thread."""

    def __init__(self, home: Home) -> None:
        self._path = home.database
        self._db = connect(self._path)
        self._changes = 0
        # A checkpoint blocks nobody, but one that comes with a commit makes that a hundred times as long.
        self._db.execute("pragma wal_autocheckpoint=0")
        weakref.finalize(self, self._db.close)  # whoever forgets `close` leaves nothing open

    def newest(self) -> int:
        return int(self._all("select coalesce(max(number), 0) from executions")[0][0])

    def doomed(self, retention: Retention) -> list[Doomed]:
        only = retention.workflow
        return [Doomed(*row) for row in self._all(_DOOMED, only, only, retention.ended_before, retention.keep)]

    def replays(self) -> Mapping[str, str]:
        return dict(self._all("select id, replay_of from executions where replay_of is not null"))

    def awaited(self) -> set[str]:
        return {mentioned for (body,) in self._all(_AWAITED) for mentioned in ids_in(body)}

    def remove(self, numbers: Sequence[int], newest: int) -> int:
        return self._change(_REMOVE, json.dumps(list(numbers)), newest)

    def remove_whole(self, number: int) -> bool:
        """One transaction, so that its number may be given again right after it."""

        def whole() -> bool:
            self._db.execute("begin immediate")
            try:
                gone = self._db.execute(_REMOVE_NEWEST, (number,)).rowcount
                for table in tables if gone else ():
                    self._db.execute(f"delete from {table} where execution = ?", (number,))
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise
            return gone == 1

        tables = [table for (table,) in self._all(_TABLES)]
        return persistently(whole, self._path)

    def left_over(self) -> Iterator[tuple[str, int]]:
        for (table,) in self._all(_TABLES):
            for (number,) in self._all(_LEFT_OVER.format(table=table)):
                yield table, number

    def remove_rows(self, table: str, number: int, most: int) -> int:
        if table == "events":
            last = self._all(
                "select seq from events where execution = ? order by seq limit 1 offset ?", number, most - 1
            )
            until = last[0][0] if last else 1 << 62
            return self._change("delete from events where execution = ? and seq <= ?", number, until)
        key = ", ".join(name for (name,) in self._all(_KEY, table))
        some = f"select {key} from {table} where execution = ? limit ?"
        return self._change(f"delete from {table} where ({key}) in ({some})", number, most)

    def unused_code(self, before: float, without: Collection[int] = ()) -> list[str]:
        return [row[0] for row in self._all(_UNUSED_CODE, before, json.dumps(list(without)))]

    def remove_code(self, versions: Sequence[str], newest: int, before: float) -> int:
        gone = self._change(_REMOVE_CODE, json.dumps(list(versions)), before, newest)
        self._change("delete from plans where code_version not in (select version from code)")
        return gone

    def texts(self, without: Collection[int]) -> Iterator[str]:
        """What waits in the inbox comes first: it may become an event while those are read."""
        yield "\n".join(body for (body,) in self._all("select body from inbox"))
        yield "\n".join(error for (error,) in self._all("select error from executions where error is not null"))
        yield from self._events(without)
        yield from self._artifacts(without)

    def _events(self, without: Collection[int]) -> Iterator[str]:
        at, most = (0, 0), _PAGE
        while page := self._all(_EVENTS, *at, most):
            at = page[-1][:2]
            text = "\n".join(f"{body}\n{data}" for number, _, body, data in page if number not in without)
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
        wanted = json.dumps(list(numbers))
        return int(self._all(_LAST, wanted)[0][0]) + int(self._all(_LINES, wanted)[0][0])

    def free_bytes(self) -> int:
        return int(self._all("pragma freelist_count")[0][0]) * int(self._all("pragma page_size")[0][0])

    def shrink(self) -> None:
        """Give what is free in the file back to the disk. Rewrites the file: nobody else may use the home."""
        self._all("vacuum")
        self._all("pragma wal_checkpoint(truncate)")

    def close(self) -> None:
        self._all("pragma wal_checkpoint(passive)")
        self._db.close()

    def _all(self, statement: str, *values: Any) -> list[Any]:
        return persistently(lambda: self._db.execute(statement, values).fetchall(), self._path)

    def _change(self, statement: str, *values: Any) -> int:
        done = persistently(lambda: self._write(statement, values), self._path)
        self._changes += 1
        if self._changes % _CHECKPOINT_EVERY == 0:
            self._all("pragma wal_checkpoint(passive)")
        return done

    def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        return self._db.execute(statement, values).rowcount
