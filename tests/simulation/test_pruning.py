"""Executions begin, share values, replay, hit a cache and end, at every moment of a prune: what is kept is readable.

Time, chance and interleaving are the seed's: whatever conductors may do happens between any two steps of a prune.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.conducting import fresh_home
from twingraph.core import codec
from twingraph.core.errors import ConflictError
from twingraph.core.hashing import content_hash
from twingraph.store.base import Append, Claim, NewExecution, Row
from twingraph.store.blobs.memory import MemoryBlobs
from twingraph.store.home import Home
from twingraph.store.prune import Prune, Retention
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.store.sqlite.prune import SqlitePrune
from twingraph.store.sqlite.records import SqliteRecords

HOUR = 3600.0
DAY = 24 * HOUR


class World:
    """Conductors and a prune over one store. Each step of either takes up to an hour."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.time = 1_700_000_000.0
        self.home = fresh_home(folder)
        self.journal, self.records = SqliteJournal(self.home), SqliteRecords(self.home)
        self.blobs = MemoryBlobs(lambda: datetime.fromtimestamp(self.time, UTC))
        self.live: dict[str, tuple[Claim, int]] = {}
        self.values: dict[str, list[str]] = {}  # of each execution that was begun
        self.found: list[tuple[str, list[str]]] = []  # what replays are about to take over
        self.needs: dict[str, frozenset[str]] = {}  # the blobs of a value, down to the last
        self.begun = 0
        self.done: dict[str, int] = {}

    def close(self) -> None:
        self.journal.close()
        self.records.close()
        self.home.close()

    # -- what conductors do ------------------------------------------------------------------------

    def step(self, *_: object) -> None:
        self.time += self.chance.uniform(0, HOUR)
        acts = [
            self.begin,
            self.make,
            self.make,
            self.pass_on,
            self.look,
            self.replay,
            self.hit,
            self.end,
            self.end,
        ]
        act = self.chance.choice(acts)
        if act():
            self.done[act.__name__] = self.done.get(act.__name__, 0) + 1

    def begin(self, replay_of: str | None = None, values: list[str] | None = None) -> bool:
        name = f"exec-{self.begun}"
        bundle = self.blobs.put(f"bundle {self.chance.randrange(20)}".encode())
        body = f'{{"bundle":"{bundle}"}}'
        new = NewExecution(
            id=name, workflow_id=f"flow-{self.chance.randrange(2)}", name="flow", created_at=self.time, owner="gone",
            origin="script", target=None, code_version=content_hash(body.encode()), code_body=body, replay_of=replay_of,
        )  # fmt: skip
        rows = [Row(1, "created", self.time, "{}", "\n".join(values or ()) or None)]
        claim = self.journal.create(new, Append(number=0, epoch=1, rows=rows, changes={"status": "running"}))
        self.begun += 1
        self.live[name] = claim, 1
        self.values[name] = list(values or ())
        return True

    def make(self) -> bool:
        """A node ends: its value may be one that was made before, by anybody, or hold others."""
        inner = [bytes([self.chance.randrange(100)]) * 70_000 for _ in range(self.chance.randrange(3))]
        made = [f"{self.chance.randrange(100)} and twenty more letters"] * (3_000 if self.chance.random() < 0.7 else 3)
        return self._add([codec.encode([inner, *made], blobs=self.blobs).text])

    def pass_on(self) -> bool:
        """What an execution was given before, moved into a larger value without being put again."""
        name = self._any_live()
        if name is None or not self.values[name]:
            return False
        joined = codec.join_list([self.chance.choice(self.values[name]), *['"x"'] * 3_000])
        return self._add([codec.compact(joined, self.blobs)], name)

    def look(self) -> bool:
        """A replay reads what it takes over, and refreshes it; it begins later."""
        origin = self._any_ended()
        if origin is None:
            return False
        self.found.append((origin, [text for text in self.values[origin][-4:] if self._is_there(text)]))
        return True

    def replay(self) -> bool:
        """Hours later: the conductor was asleep between."""
        if not self.found:
            return False
        origin, texts = self.found.pop(0)
        try:
            return self.begin(origin, texts)
        except ConflictError:
            self.done["refused"] = self.done.get("refused", 0) + 1
            return False

    def hit(self) -> bool:
        """A cache answers with what an execution gave that is on record, and that is journaled at once."""
        origin = self._any_ended()
        if origin is None or not self.values[origin]:
            return False
        text = self.chance.choice(self.values[origin])
        return self._is_there(text) and self._add([text])

    def _is_there(self, text: str) -> bool:
        return all(self.blobs.refresh(digest) for digest in codec.refs(text))

    def end(self) -> bool:
        name = self._any_live()
        if name is None or self.chance.random() < 0.5:
            return False
        claim, _ = self.live.pop(name)
        changes = {"status": "completed", "completed_at": self.time, "owner": None}
        assert not self.journal.append([Append(number=claim.number, epoch=1, changes=changes)])
        return True

    def _add(self, texts: list[str], name: str | None = None) -> bool:
        name = name or self._any_live()
        if name is None:
            return False
        claim, seq = self.live[name]
        row = Row(seq + 1, "node_ended", self.time, '["n"]', "\n".join(texts))
        assert not self.journal.append([Append(number=claim.number, epoch=1, rows=[row])])
        self.live[name] = claim, seq + 1
        for text in texts:
            if text not in self.needs:
                self.needs[text] = frozenset(codec.refs(text, blobs=self.blobs))
        self.values[name] += texts
        return True

    def _any_live(self) -> str | None:
        return self.chance.choice(sorted(self.live)) if self.live else None

    def _any_ended(self) -> str | None:
        ended = sorted(record.id for record in self.records.page(limit=10_000)[0] if record.id not in self.live)
        return self.chance.choice(ended) if ended else None

    # -- pruning, and what must hold ---------------------------------------------------------------

    def prune(self) -> int:
        retention = Retention(
            ended_before=self.time - self.chance.choice([0, 1, 3]) * DAY, keep=self.chance.randrange(3)
        )
        with closing(Slowly(self.home, self.step, self.chance)) as store:
            pruned = Prune(store, self.blobs, now=lambda: self.time, pause=self.step).run(retention)
        return pruned.blobs + len(pruned.executions)

    def check(self) -> None:
        known = {record.id: record for record in self.records.page(limit=10_000)[0]}
        assert self.live.keys() <= known.keys()
        for name, record in known.items():
            assert record.replay_of is None or record.replay_of in known
            assert record.code_version is not None
            body = self.journal.code(record.code_version)
            assert body is not None
            assert self.blobs.exists(body.split('"')[3])
            texts = [text for row in self.records.rows(name) for text in (row.data or "").split("\n") if text]
            assert texts == self.values[name]
            for text in texts:
                assert all(self.blobs.exists(digest) for digest in self.needs[text]), (name, text)


class Slowly(SqlitePrune):
    """Conductors are at work between any two executions that are read."""

    def __init__(self, home: Home, step: Callable[[], None], chance: random.Random) -> None:
        super().__init__(home)
        self._step, self._chance = step, chance

    def texts(self, without: Collection[int]) -> Iterator[str]:
        for text in super().texts(without):
            for line in text.split("\n"):
                if "$" in line and self._chance.random() < 0.2:  # else more is written than is read, for ever
                    self._step()
                yield line

    def unused_code(self, before: float, without: Collection[int] = ()) -> list[str]:
        found = super().unused_code(before, without)
        self._step()
        return found


@pytest.mark.parametrize("seed", range(10))
def test_what_is_kept_stays_readable(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path / "home", seed)
    gone = 0
    for _ in range(6):
        for _ in range(15):
            world.step()
        if world.chance.random() < 0.5:
            world.time += world.chance.choice([1, 2]) * DAY
        gone += world.prune()
        world.check()
    world.close()
    assert gone > 0
    assert set(world.done) >= {"begin", "make", "end"}


def test_the_simulation_would_notice(tmp_path: Path) -> None:
    """Without the day of grace, what is just being written is taken away."""
    world = World(tmp_path / "home", 1)
    world.begin()
    world.blobs.put(b"just being written" * 5_000)
    with closing(SqlitePrune(world.home)) as store:
        made = Prune(store, world.blobs, grace=-timedelta(hours=1), now=lambda: world.time, pause=lambda _: None)
        assert made.run(Retention(ended_before=0.0)).blobs == 1
    world.close()
