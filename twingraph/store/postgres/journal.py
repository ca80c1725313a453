"""The conductor's side of the store on PostgreSQL: one statement for each method, and what to do when one got lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields

from psycopg import DataError
from psycopg.errors import UniqueViolation

from twingraph.core.errors import ConflictError, HeldElsewhere, NotFoundError, StoreError
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
from twingraph.store.levels import LEVELS
from twingraph.store.postgres import batch as batches
from twingraph.store.postgres import cache, limits, statements
from twingraph.store.postgres.connection import Connection, Link, place
from twingraph.store.postgres.prepared import Prepared, Values
from twingraph.store.postgres.schema import HEAD

_COLUMNS = tuple(field.name for field in fields(NewExecution) if field.name != "code_body")
_WHILE_AWAY = 0  # no session: what was said while there was no connection, nobody heard


class PostgresJournal:
    """One writer's connection. Made and used on the conductor's thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._spoke: set[int] = set()  # sessions that said something
        self._prepared: Prepared  # of the connection that there is
        self._link = Link(url, head=HEAD, ready=self._listen)
        self._link.open()

    # -- writing ---------------------------------------------------------------------------------

    def create(self, new: NewExecution, first: Append) -> Claim:
        return self.create_all([(new, first)])[0]

    def create_all(self, begun: Sequence[tuple[NewExecution, Append]]) -> list[Claim]:
        try:
            numbers = self._create(begun)
        except (UnicodeEncodeError, DataError):
            numbers = self._create([(new, batches.clean(first)) for new, first in begun])
        more = []
        for number, (_, first) in zip(numbers, begun, strict=True):
            first.number = number
            if first.logs or first.snapshot or first.taken:
                more.append(Append(number=number, epoch=1, logs=first.logs, taken=first.taken))
        if more:
            self.append(more)
        return [
            Claim(number=first.number, epoch=1, seq=first.rows[-1].seq, workflow_id=new.workflow_id)
            for new, first in begun
        ]

    def _create(self, begun: Sequence[tuple[NewExecution, Append]]) -> list[int]:
        values = [_beginning(new, first) for new, first in begun]
        replayed = [new.replay_of for new, _ in begun if new.replay_of is not None]

        def write(connection: Connection, again: bool) -> list[int]:
            try:
                if not replayed and len(values) == 1:
                    return [self._made(values[0])]
                with connection.transaction():
                    if replayed:
                        connection.execute(statements.REPLAYS_ALONE)
                    for origin in replayed:
                        self._refuse_pruned(connection, origin)
                    return [self._made(one) for one in values]
            except UniqueViolation:
                if not again:
                    raise
                return [_made_before(connection, new) for new, _ in begun]

        return self._link.run(write)

    def _made(self, values: Values) -> int:
        return _whole(self._prepared.execute(statements.CREATE, values).get_value(0, 0))

    def _refuse_pruned(self, connection: Connection, origin: str) -> None:
        """What an execution takes its outcomes from must be there when it begins; from then on prune keeps it."""
        if connection.execute(statements.IS_THERE, (origin,)).fetchone() is None:
            raise ConflictError(f"{origin} was pruned, so nothing can be taken over from it; run its target again")

    def append(self, batch: Sequence[Append]) -> set[int]:
        try:
            return self._append(batches.of_one_each(batch))
        except (UnicodeEncodeError, DataError):
            return self._append(batches.of_one_each([batches.clean(part) for part in batch]))

    def _append(self, parts: Sequence[Append]) -> set[int]:
        return self._link.run(lambda connection, again: self._write(connection, parts, again=again))

    def _write(self, connection: Connection, parts: Sequence[Append], *, again: bool) -> set[int]:
        """Those that were refused."""
        # What was lost on its way back may have been written; or may be about to be, by a session that lives on.
        if again and self._was_written(connection, parts):
            return self._not_ours(connection, parts)
        result = self._prepared.execute(*batches.statement(parts))
        if result.ntuples == len(parts):
            return set()
        held = {_whole(result.get_value(row, 0)) for row in range(result.ntuples)}
        return self._not_ours(connection, [part for part in parts if part.number not in held])

    def append_and_ask(self, batch: Sequence[Append], turn: LimitTurn) -> tuple[set[int], Sequence[Wanting]]:
        try:
            return self._append_and_ask(batches.of_one_each(batch), turn)
        except (UnicodeEncodeError, DataError):
            return self._append_and_ask(batches.of_one_each([batches.clean(part) for part in batch]), turn)

    def _append_and_ask(self, parts: Sequence[Append], turn: LimitTurn) -> tuple[set[int], Sequence[Wanting]]:
        unsure: list[Wanting] = []

        def write(connection: Connection, again: bool) -> tuple[set[int], Sequence[Wanting]]:
            with connection.transaction():
                connection.execute(limits.ALONE)
                limits.take_back(connection, unsure)
                refused = self._write(connection, parts, again=again) if parts else set()
                denied, choice = limits.give_out(connection, turn)
                unsure[:] = choice.granted
            return refused | denied, [wanting for wanting in choice.granted if wanting.number not in denied]

        return self._link.run(write)

    def limit_use(self, turn: LimitTurn) -> LimitUse:
        return self._link.run(lambda connection, _: limits.use(connection, turn))

    def _was_written(self, connection: Connection, parts: Sequence[Append]) -> bool:
        """A batch is written whole or not at all, so any part of it tells."""
        stands = _standing_of(connection, parts)
        for part in parts:
            epoch, seq = stands.get(part.number, (0, 0))
            if epoch == part.epoch and part.rows:
                return seq >= part.rows[-1].seq
        lines = [(part, part.logs[-1]) for part in parts if part.logs]
        if not lines:
            return False
        part, line = lines[-1]
        level = LEVELS.get(line.level, 20)
        found = connection.execute(statements.LOGGED, (part.number, line.at, level, line.message))
        return found.fetchone() is not None

    def _not_ours(self, connection: Connection, parts: Sequence[Append]) -> set[int]:
        """Those that another conductor holds. What is ours and is not written has been lost by the database."""
        stands = _standing_of(connection, parts)
        refused = set()
        for part in parts:
            epoch, seq = stands.get(part.number, (0, 0))
            if epoch != part.epoch:
                refused.add(part.number)
            elif part.rows and seq < part.rows[-1].seq:
                raise StoreError(
                    f"{place(self._url)} does not have event {part.rows[0].seq - 1} of an execution, which it had "
                    f"confirmed (the last is {seq}): was it restored, or replaced by a copy that lagged behind? "
                    "Start this process again; it goes on from what there is"
                )
        return refused

    # -- who holds what --------------------------------------------------------------------------

    def claim(self, execution_id: str, owner: str) -> Claim:
        def take(connection: Connection, _: bool) -> Claim | None:
            # The second statement also sees what was granted while the first one waited for the record.
            with connection.transaction():
                row = connection.execute(statements.CLAIM, {"id": execution_id, "owner": owner}).fetchone()
                if row is None:
                    return None
                connection.execute(limits.FREE_ALL, ([row[0]],))
            number, epoch, seq, code, replay_of, workflow = row
            return Claim(
                number=number, epoch=epoch, seq=seq, code_version=code, replay_of=replay_of, workflow_id=workflow
            )

        claim = self._link.run(take)
        if claim is not None:
            return claim
        if self.standing(execution_id, owner) is None:
            raise NotFoundError(f"no execution has the id {execution_id!r}")
        raise HeldElsewhere(f"{execution_id} is held by another process that is alive")

    def release(self, numbers: Sequence[int], owner: str) -> None:
        if numbers:
            self._link.ask(statements.RELEASE, (list(numbers), owner))

    def standing(self, execution_id: str, owner: str) -> Standing | None:
        found = self._link.ask(statements.STANDING, {"id": execution_id, "owner": owner})
        return Standing(found[0][0], bool(found[0][1])) if found else None

    def orphans(self, asker: str, origins: Collection[str], limit: int) -> list[str]:
        found = self._link.ask(statements.ORPHANS, {"asker": asker, "origins": list(origins), "limit": limit})
        return [row[0] for row in found]

    # -- reading ---------------------------------------------------------------------------------

    def load(self, number: int, *, snapshot: bool = True) -> tuple[str | None, Iterator[Row]]:
        found = self._link.ask(statements.SNAPSHOT, (number,)) if snapshot else []
        after, state = found[0] if found else (0, None)
        return state, self._rows_after(number, after)

    def _rows_after(self, number: int, after: int) -> Iterator[Row]:
        """A page at a time, so that a long history keeps nobody waiting. Whoever holds the claim is the only writer."""
        while True:
            page = self._link.ask(statements.PAGE, (number, after))
            for row in page:
                yield Row(*row)
            if len(page) < statements.ROWS_AT_ONCE:
                return
            after = page[-1][0]

    def data(self, number: int, seq: int) -> str | None:
        found = self._link.ask(statements.DATA, (number, seq))
        return found[0][0] if found else None

    def data_of(self, number: int, seqs: Sequence[int]) -> Mapping[int, str]:
        return dict(self._link.ask(statements.DATA_OF, (number, list(seqs))))

    def values_of(self, execution_id: str, seqs: Sequence[int]) -> Mapping[int, str]:
        return dict(self._link.ask(statements.VALUES_OF, (execution_id, list(seqs))))

    def lines_of(
        self, number: int, node: str, attempts: tuple[int, int], after: int = 0
    ) -> Sequence[tuple[int, float, str, str]]:
        return self._link.ask(statements.LINES_OF, (number, after, node, *attempts))

    def messages(self, owner: str) -> list[Message]:
        return [Message(*row) for row in self._link.ask(statements.INBOX, (owner,))]

    def code(self, version: str) -> str | None:
        found = self._link.ask(statements.CODE, (version,))
        return found[0][0] if found else None

    def keep_code(self, version: str, body: str, at: float) -> None:
        self._link.ask(statements.KEEP_CODE, (version, body, at))

    def ask_cache(self, asked: Sequence[Work], owner: str) -> list[CachedOutcome | bool]:
        return self._link.run(lambda connection, _: cache.ask(connection, asked, owner)) if asked else []

    # -- hearing of messages ---------------------------------------------------------------------

    def changed(self) -> bool:
        """Looks at what has come in on the connection; asks the server nothing."""

        def listen(connection: Connection, _: bool) -> bool:
            connection.pgconn.consume_input()
            while (said := connection.pgconn.notifies()) is not None:
                self._spoke.add(said.be_pid)
            others = self._spoke - {connection.pgconn.backend_pid}
            self._spoke.clear()
            return bool(others)

        return self._link.run(listen)

    def _listen(self, connection: Connection) -> None:
        self._prepared = Prepared(connection)
        connection.execute(statements.QUICK)
        # What comes in with the answer to a statement, psycopg takes for itself. A handler that knew this journal would
        # keep it, and its connection, for ever.
        spoke = self._spoke
        connection.add_notify_handler(lambda said: spoke.add(said.pid))
        channel = connection.execute(f"select quote_ident({statements.CHANNEL})").fetchone()
        assert channel is not None
        connection.execute(f"listen {channel[0]}")
        self._spoke.add(_WHILE_AWAY)

    def close(self) -> None:
        self._link.close()


def _beginning(new: NewExecution, first: Append) -> Values:
    columns = {name: getattr(new, name) for name in _COLUMNS}
    progress = dict.fromkeys(("total", "completed", "running", "failed", "skipped"), 0)
    record = {**columns, **progress, "status": "pending", **first.changes, "version": SCHEMA_VERSION}
    return {
        "record": batches.record({**record, "seq": first.rows[-1].seq}),
        "code_version": new.code_version,
        "code_body": new.code_body,
        "created_at": repr(new.created_at),
        **batches.events(first.rows),
    }


def _made_before(connection: Connection, new: NewExecution) -> int:
    row = connection.execute(statements.MADE, (new.id, new.owner, new.created_at)).fetchone()
    if row is None:
        raise StoreError("an execution of this id exists already")
    return int(row[0])


def _whole(text: bytes | None) -> int:
    assert text is not None, "it is a key"
    return int(text)


def _standing_of(connection: Connection, parts: Sequence[Append]) -> dict[int, tuple[int, int]]:
    found = connection.execute(statements.STANDS, ([part.number for part in parts],))
    return {number: (epoch, seq) for number, epoch, seq in found}
