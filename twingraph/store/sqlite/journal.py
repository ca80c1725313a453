"""The conductor's side of the store on SQLite. A few statements, all named here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache

from twingraph.core.errors import ConflictError, HeldElsewhere, NotFoundError
from twingraph.core.events import SCHEMA_VERSION
from twingraph.store.base import (
    Append,
    CachedOutcome,
    Claim,
    LimitTurn,
    LimitUse,
    Message,
    NewExecution,
    Row,
    Standing,
    Wanting,
    Work,
)
from twingraph.store.home import Home
from twingraph.store.levels import LEVELS
from twingraph.store.sqlite import cache, limits
from twingraph.store.sqlite.connection import Presence, Result, close_when_forgotten, connect, persistently
from twingraph.store.writable import writable

_CREATE = """
insert into executions (id, workflow_id, name, status, created_at, owner, origin, target, code_version, replay_of, version)
values (?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?)
"""  # noqa: E501
_EVENT = f"insert into events values (?, ?, ?, ?, ?, ?, ?, ?, {SCHEMA_VERSION})"
_LOG = (
    "insert into logs (execution, at, level, node, component, attempt, stream, message) values (?, ?, ?, ?, ?, ?, ?, ?)"
)
_SNAPSHOT = f"insert or replace into snapshots values (?, ?, ?, {SCHEMA_VERSION})"
_CLAIM = "update executions set owner = ?, epoch = epoch + 1 where number = ? and epoch = ?"
_RELEASE = "update executions set owner = null where number = ? and owner = ?"
_OURS = "select number from executions where number = ? and owner = ?"
# What is used again is young again, so that a prune which looks just now leaves it.
_CODE = """
insert into code values (?, ?, ?)
on conflict (version) do update set created_at = excluded.created_at where excluded.created_at > code.created_at + 3600
"""
_DATA_OF = """
select seq, data from events
where execution = ? and seq in (select value from json_each(?)) and data is not null
"""
_OPEN = "select id, owner from executions where status in ('pending', 'running') and origin in ({}) order by number"
VALUES_OF = """
select seq, data from events where execution = (select number from executions where id = ?)
and seq in (select value from json_each(?)) and data is not null
"""
ROWS_AT_ONCE = 500
# Rows are long with more than so many characters each; of these fewer are read at once.
_LONG = 5_000
_LONG_ROWS_AT_ONCE = 50
_PAGE = """
select seq, kind, at, body, null, cause, actor from events
where execution = ? and seq > ? order by seq limit ?
"""
_LINES_OF = """
select seq, at, stream, message from logs
where execution = ? and seq > ? and node = ? and attempt between ? and ? order by seq limit 1000
"""
_INBOX = """
select inbox.id, inbox.execution, inbox.kind, inbox.body from inbox
join executions on executions.number = inbox.execution where executions.owner = ? order by inbox.id
"""


class SqliteJournal:
    """One writer's connection. Made and used on the conductor's thread."""

    def __init__(self, home: Home, *, durability: str = "normal") -> None:
        self._home = home
        self._path = home.database
        self._db = connect(self._path, durability=durability)
        close_when_forgotten(self, self._db)
        self._version = self._data_version()
        self._presence = Presence(self._path)

    def create(self, new: NewExecution, first: Append) -> Claim:
        return self.create_all([(new, first)])[0]

    def create_all(self, begun: Sequence[tuple[NewExecution, Append]]) -> list[Claim]:
        self._presence.check()
        try:
            return self._transaction(lambda: [self._create(new, first) for new, first in begun])
        except UnicodeEncodeError:
            return self._transaction(lambda: [self._create(new, writable(first)) for new, first in begun])

    def _create(self, new: NewExecution, first: Append) -> Claim:
        self._refuse_pruned(new.replay_of)
        number = self._db.execute(
            _CREATE,
            (
                new.id, new.workflow_id, new.name, new.created_at, new.owner, new.origin, new.target,
                new.code_version, new.replay_of, SCHEMA_VERSION,
            ),
        ).lastrowid  # fmt: skip
        assert number is not None
        first.number = number
        if new.code_body is not None:
            self._db.execute(_CODE, (new.code_version, new.code_body, new.created_at))
        self._write(first)
        return Claim(number=number, epoch=1, seq=first.rows[-1].seq, workflow_id=new.workflow_id)

    def _refuse_pruned(self, origin: str | None) -> None:
        """What an execution takes its outcomes from must be there when it begins; from then on prune keeps it."""
        if origin and not self._db.execute("select 1 from executions where id = ?", (origin,)).fetchone():
            raise ConflictError(f"{origin} was pruned, so nothing can be taken over from it; run its target again")

    def append(self, batch: Sequence[Append]) -> set[int]:
        try:
            return self._append(batch)
        except UnicodeEncodeError:
            return self._append([writable(part) for part in batch])

    def _append(self, batch: Sequence[Append]) -> set[int]:
        return self._transaction(lambda: {part.number for part in batch if not self._write(part)})

    def append_and_ask(self, batch: Sequence[Append], turn: LimitTurn) -> tuple[set[int], Sequence[Wanting]]:
        def write(parts: Sequence[Append]) -> tuple[set[int], Sequence[Wanting]]:
            refused = {part.number for part in parts if not self._write(part)}
            denied, granted = limits.give_out(self._db, turn, self._home.conductor_lives)
            return refused | denied, granted

        try:
            return self._transaction(lambda: write(batch))
        except UnicodeEncodeError:
            return self._transaction(lambda: write([writable(part) for part in batch]))

    def limit_use(self, turn: LimitTurn) -> LimitUse:
        return persistently(lambda: limits.use(self._db, turn), self._path)

    def _write(self, part: Append) -> bool:
        """Everything of one execution, unless another conductor holds it."""
        if not self._update(part):
            return False
        number = part.number
        if part.rows:
            self._db.executemany(_EVENT, [(number, *row) for row in part.rows])
        if part.logs:
            self._db.executemany(_LOG, [(number, log.at, LEVELS.get(log.level, 20), *log[2:]) for log in part.logs])
        if part.snapshot is not None:
            self._db.execute(_SNAPSHOT, (number, part.snapshot_seq, part.snapshot))
        if part.settled:
            cache.settle(self._db, number, part.settled)
        if part.freed:
            limits.free(self._db, number, part.freed)
        if part.taken:
            self._db.executemany("delete from inbox where id = ?", [(taken,) for taken in part.taken])
        if "completed_at" in part.changes:
            self._presence.check()
            self._db.execute("delete from inbox where execution = ?", (number,))
            self._db.execute("delete from snapshots where execution = ?", (number,))
        return True

    def _update(self, part: Append) -> bool:
        """Move the execution's record on; False when another conductor holds it."""
        columns = dict(part.changes)
        if part.rows:
            columns["seq"] = part.rows[-1].seq
        if not columns:
            columns["epoch"] = part.epoch
        assignments = ", ".join(f"{name} = ?" for name in columns)
        cursor = self._db.execute(
            f"update executions set {assignments} where number = ? and epoch = ?",
            (*columns.values(), part.number, part.epoch),
        )
        return cursor.rowcount == 1

    def claim(self, execution_id: str, owner: str) -> Claim:
        def take() -> Claim:
            found = self._db.execute(
                "select number, epoch, seq, owner, code_version, replay_of, workflow_id from executions where id = ?",
                (execution_id,),
            ).fetchone()
            if found is None:
                raise NotFoundError(f"no execution has the id {execution_id!r}")
            number, epoch, seq, before, code, replay_of, workflow = found
            if before is not None and before != owner and self._home.conductor_lives(before):
                raise HeldElsewhere(f"{execution_id} is held by another process that is alive")
            self._db.execute(_CLAIM, (owner, number, epoch))
            limits.free_all(self._db, [number])
            return Claim(
                number=number,
                epoch=epoch + 1,
                seq=seq,
                code_version=code,
                replay_of=replay_of,
                workflow_id=workflow,
            )

        return self._transaction(take)

    def release(self, numbers: Sequence[int], owner: str) -> None:
        def let_go() -> None:
            ours = [(number, owner) for number in numbers if self._db.execute(_OURS, (number, owner)).fetchone()]
            limits.free_all(self._db, [number for number, _ in ours])
            self._db.executemany(_RELEASE, ours)

        self._transaction(let_go)

    def standing(self, execution_id: str, owner: str) -> Standing | None:
        found = persistently(
            lambda: self._db.execute("select status, owner from executions where id = ?", (execution_id,)).fetchone(),
            self._path,
        )
        if found is None:
            return None
        status, holder = found
        return Standing(status, holder is not None and holder != owner and self._home.conductor_lives(holder))

    def orphans(self, asker: str, origins: Collection[str], limit: int) -> list[str]:
        found = persistently(
            lambda: self._db.execute(_OPEN.format(", ".join("?" * len(origins))), tuple(origins)).fetchall(), self._path
        )
        owners = {row[1] for row in found} - {None}
        lives = {owner: owner == asker or self._home.conductor_lives(owner) for owner in owners}
        return [execution for execution, owner in found if not lives.get(owner)][:limit]

    def load(self, number: int, *, snapshot: bool = True) -> tuple[str | None, Iterator[Row]]:
        found = snapshot and persistently(
            lambda: self._db.execute("select seq, state from snapshots where execution = ?", (number,)).fetchone(),
            self._path,
        )
        after, state = found or (0, None)
        return state, self._rows_after(number, after)

    def _rows_after(self, number: int, after: int) -> Iterator[Row]:
        """A page at a time, so that a long history keeps nobody waiting; a short one first, as it may hold much.
        Whoever holds the claim is the only writer."""
        most = _LONG_ROWS_AT_ONCE
        while True:
            page = self._page(number, after, most)
            yield from page
            if len(page) < most:
                return
            after = page[-1].seq
            most = _LONG_ROWS_AT_ONCE if sum(len(row.body) for row in page) > _LONG * most else ROWS_AT_ONCE

    def _page(self, number: int, after: int, most: int) -> list[Row]:
        found = persistently(lambda: self._db.execute(_PAGE, (number, after, most)).fetchall(), self._path)
        return [Row(*row) for row in found]

    def data(self, number: int, seq: int) -> str | None:
        found = persistently(
            lambda: self._db.execute(
                "select data from events where execution = ? and seq = ?", (number, seq)
            ).fetchone(),
            self._path,
        )
        return found[0] if found else None

    def data_of(self, number: int, seqs: Sequence[int]) -> Mapping[int, str]:
        wanted = f"[{','.join(map(str, seqs))}]"
        return dict(persistently(lambda: self._db.execute(_DATA_OF, (number, wanted)).fetchall(), self._path))

    def values_of(self, execution_id: str, seqs: Sequence[int]) -> Mapping[int, str]:
        wanted = f"[{','.join(map(str, seqs))}]"
        return dict(persistently(lambda: self._db.execute(VALUES_OF, (execution_id, wanted)).fetchall(), self._path))

    def lines_of(
        self, number: int, node: str, attempts: tuple[int, int], after: int = 0
    ) -> Sequence[tuple[int, float, str, str]]:
        return persistently(
            lambda: self._db.execute(_LINES_OF, (number, after, node, *attempts)).fetchall(), self._path
        )

    def ask_cache(self, asked: Sequence[Work], owner: str) -> list[CachedOutcome | bool]:
        """Where the outcome is known, or somebody is at it, nothing is written."""
        lives = lru_cache(maxsize=None)(self._home.conductor_lives)
        found = persistently(lambda: [cache.look(self._db, work, owner, lives) for work in asked], self._path)
        if None in found:
            free = [work for work, answer in zip(asked, found, strict=True) if answer is None]
            answers = iter(self._transaction(lambda: [cache.ask(self._db, work, owner, lives) for work in free]))
            found = [next(answers) if answer is None else answer for answer in found]
        return [answer for answer in found if answer is not None]

    def changed(self) -> bool:
        self._presence.check()
        version = self._data_version()
        before, self._version = self._version, version
        return version != before

    def messages(self, owner: str) -> list[Message]:
        rows = persistently(lambda: self._db.execute(_INBOX, (owner,)).fetchall(), self._path)
        return [Message(*row) for row in rows]

    def code(self, version: str) -> str | None:
        found = persistently(
            lambda: self._db.execute("select body from code where version = ?", (version,)).fetchone(), self._path
        )
        return found[0] if found else None

    def keep_code(self, version: str, body: str, at: float) -> None:
        self._transaction(lambda: self._db.execute(_CODE, (version, body, at)))

    def close(self) -> None:
        self._db.close()

    def _data_version(self) -> int:
        return int(persistently(lambda: self._db.execute("pragma data_version").fetchone()[0], self._path))

    def _transaction(self, act: Callable[[], Result]) -> Result:
        def whole() -> Result:
            self._db.execute("begin immediate")
            try:
                result = act()
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise
            return result

        return persistently(whole, self._path)
