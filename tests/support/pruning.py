"""A home made by hand: executions whose events refer to blobs as real ones do, with every age that a test wants."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

from twingraph.core import codec
from twingraph.core.hashing import content_hash
from twingraph.store.base import Append, Claim, LogRow, NewExecution, Row
from twingraph.store.blobs.local import LocalBlobs
from twingraph.store.home import Home
from twingraph.store.postgres.store import PostgresStore
from twingraph.store.prune import Prune, Pruned, Retention
from twingraph.store.sqlite.store import SqliteStore

DAY = 86_400.0
NOW = time.time()


class PruneBench:
    """`now` stands still; what is put by `value` is two days old unless it says otherwise."""

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.home = Home(folder).open()
        self.store: SqliteStore | PostgresStore = (
            SqliteStore(self.home) if database is None else PostgresStore(database)
        )
        self.blobs = LocalBlobs(self.home.path)
        self.journal = self.store.journal()
        self.records = self.store.records()
        self.claims: dict[str, Claim] = {}

    def close(self) -> None:
        self.journal.close()
        self.records.close()
        self.home.close()

    # -- what there is -----------------------------------------------------------------------------

    def value(self, made_of: object, *, age: float = 2 * DAY) -> str:
        """The text of a value that is large enough to lie in the blob store."""
        encoded = codec.encode(made_of, blobs=self.blobs)
        for digest in codec.refs(encoded.text, blobs=self.blobs):
            self.aged(digest, age)
        return encoded.text

    def aged(self, digest: str, age: float) -> None:
        then = NOW - age
        os.utime(self.home.blobs / digest[:2] / digest[2:], (then, then))

    def code(self, *, age: float = 2 * DAY) -> tuple[str, str]:
        """A version, and the blob of its bundle."""
        bundle = self.blobs.put(os.urandom(100))
        self.aged(bundle, age)
        body = f'{{"bundle":"{bundle}"}}'
        version = content_hash(body.encode())
        self.journal.keep_code(version, body, NOW - age)
        return version, bundle

    def begin(self, name: str, *values: str, at: float = NOW - 40 * DAY, body: str = "{}", **more: str | None) -> str:
        fields: dict[str, str | None] = {"workflow_id": "flow", "target": None, "code_version": None, **more}
        new = NewExecution(id=name, name="flow", created_at=at, owner="gone", origin="script", **fields)  # type: ignore[arg-type]
        first = Append(number=0, epoch=1, rows=[Row(1, "created", at, body, None)], changes={"status": "running"})
        claim = self.claims[name] = self.journal.create(new, first)
        if values:
            self.add(name, *values)
        assert claim.epoch == 1
        return name

    def add(self, name: str, *values: str, kind: str = "node_ended", body: str = '["n"]') -> None:
        claim = self.claims[name]
        seq = self.records.record(name).seq + 1
        log = LogRow(NOW, "info", "n", "c", 1, "stdout", "hello")
        row = Row(seq, kind, NOW, body, "\n".join(values) or None)
        assert not self.journal.append([Append(number=claim.number, epoch=1, rows=[row], logs=[log])])

    def add_many(self, name: str, count: int) -> None:
        claim, seq = self.claims[name], self.records.record(name).seq
        rows = [Row(seq + number, "node_ended", NOW, '["n"]', "1") for number in range(1, count + 1)]
        self.journal.append([Append(number=claim.number, epoch=1, rows=rows)])

    def change(self, name: str, **columns: object) -> None:
        self.journal.append([Append(number=self.claims[name].number, epoch=1, changes=columns)])

    def end(self, name: str, *, age: float = 35 * DAY) -> str:
        self.change(name, status="completed", completed_at=NOW - age, owner=None)
        return name

    def ended(self, name: str, *values: str, age: float = 35 * DAY, **more: str | None) -> str:
        self.begin(name, *values, at=NOW - age - 60, **more)  # type: ignore[arg-type]
        return self.end(name, age=age)

    # -- pruning, and what is left -----------------------------------------------------------------

    def prune(self, *, days: float = 30, keep: int = 0, workflow: str | None = None, dry_run: bool = False) -> Pruned:
        retention = Retention(ended_before=NOW - days * DAY, keep=keep, workflow=workflow)
        with closing(self.store.prune()) as store:
            made = Prune(store, self.blobs, now=lambda: NOW, pause=lambda _: None)
            return made.plan(retention) if dry_run else made.run(retention)

    def left(self) -> set[str]:
        return {record.id for record in self.records.page(limit=10_000)[0]}

    def stored(self) -> set[str]:
        return {info.hash for info in self.blobs.list()}

    def count(self, table: str) -> int:
        return int(self.records._all(f"select count(*) from {table}")[0][0])

    def is_readable(self, name: str) -> bool:
        """Every value of it can be decoded, down to the last blob."""
        for row in self.records.rows(name):
            for line in (row.data or "").split("\n"):
                if line:
                    codec.decode(line, blobs=LocalBlobs(self.home.path))
        return True
