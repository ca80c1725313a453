"""Retention: which executions may go, and taking them away with all that nothing else refers to.

Order, so that a kill at any moment loses nothing that is kept and the next prune goes on:

1. The records of executions, a few per transaction. From here on nobody finds them; their events are left over.
2. What is left over of executions that have no record: events, logs and the rest, in slices; then the newest of all.
3. Code versions that no execution and no event mentions.
4. Blobs that nothing mentions, put or refreshed last more than a day ago.

An execution is kept when it has not ended, when retention says so, when a kept one is its replay, or when a live one
has started it. The newest of all goes in one transaction, since its number may be given again right afterwards; when it
is too large for that, it stays until there is a newer one.

Marking is generous: whatever looks like a hash, in any text of what is kept, keeps what has that hash. What refers to
an old blob anew has refreshed it first (`BlobStore.refresh`), so nothing that is written meanwhile is missed.
"""

from __future__ import annotations

import mmap
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

from twingraph.core.errors import DamagedError, NotFoundError
from twingraph.core.recordclass import recordclass
from twingraph.store.blobs.base import BlobInfo, BlobStore

Item = TypeVar("Item")

GRACE = timedelta(hours=24)  # of blobs and code that nothing refers to (yet)
_RECORDS_AT_ONCE = 20
_ROWS_AT_ONCE = 1_000  # of the newest of all
_BLOBS_AT_ONCE = 500_000  # candidates that are looked for in one go through the journal: some 100 MB
_SLICE_SECONDS = 0.002  # what one transaction may take, about
_LEAST, _MOST = 10, 2_000  # rows of one slice
_GIVE_WAY = 3  # times as long as a transaction took, others have the database
_HASH = re.compile(r"[0-9a-f]{64}")
# A reference to a blob that is itself made of texts, plain or inside a text inside a text.
_NESTED = re.compile(r'"rung\\*":\\*"(?:json|list)\\*",\\*"hash\\*":\\*"([0-9a-f]{64})')
_BYTES_HASH = re.compile(rb"[0-9a-f]{64}")
_BYTES_NESTED = re.compile(_NESTED.pattern.encode())


@recordclass
class Retention:
    """What may go: of each workflow what ended before `ended_before` and is not among its newest `keep`."""

    ended_before: float
    keep: int = 0
    workflow: str | None = None  # only executions of this one


class Doomed(NamedTuple):
    """An execution that retention lets go."""

    number: int
    id: str
    name: str
    ended_at: float


class PruneStore(Protocol):
    """The SQL side. Each method is one short transaction, or reads without one."""

    def newest(self) -> int:
        """The greatest number of an execution; 0 without any."""

    def doomed(self, retention: Retention) -> list[Doomed]:
        """Ended executions that retention lets go, newest first."""

    def replays(self) -> Mapping[str, str]:
        """Of each execution that replays another: which."""

    def awaited(self) -> set[str]:
        """Ids of executions that live ones have started and may still ask about."""

    def remove(self, numbers: Sequence[int], newest: int) -> int:
        """Take the records of these away, but of none that an execution after `newest` replays, be it over others, and
        never that of the newest of all. How many went."""

    def remove_whole(self, number: int) -> bool:
        """Take the newest of all away with all of its rows; False when it is not that any more."""

    def left_over(self) -> Iterator[tuple[str, int]]:
        """Tables with an execution in each that has rows there and no record."""

    def remove_rows(self, table: str, number: int, most: int) -> int:
        """Take up to so many rows of an execution away; how many went."""

    def unused_code(self, before: float, without: Collection[int] = ()) -> list[str]:
        """Versions older than this that no record of an execution (but of these) names."""

    def remove_code(self, versions: Sequence[str], newest: int, before: float) -> int:
        """Take them away with their plans, but none that an execution after `newest` names, or that was kept since."""

    def texts(self, without: Collection[int]) -> Iterator[str]:
        """All texts of executions (but of these) and of whoever writes to them, in which a hash may stand."""

    def code_texts(self, without: Collection[str]) -> Iterator[str]:
        """What is recorded of code versions, but of these."""

    def count(self, numbers: Sequence[int]) -> int:
        """Events and lines of logs of these executions."""

    def free_bytes(self) -> int:
        """What the database's file holds for new rows."""

    def close(self) -> None: ...


@recordclass(frozen=False, kw_only=False)
class Pruned:
    """What went, or would go."""

    executions: list[Doomed] = field(default_factory=list)
    kept_for_others: int = 0  # executions that retention lets go and something needs
    newest_stays: bool = False  # it is among what retention lets go, and too large to go at once
    rows: int = 0
    code_versions: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    free_bytes: int = 0


Progress = Callable[[str, int, int | None], None]  # what is done, how much of it, of how many


class Prune:
    """One pass. `pause` gives way to conductors after each transaction; `now` is the time of day."""

    def __init__(
        self,
        store: PruneStore,
        blobs: BlobStore,
        *,
        grace: timedelta = GRACE,
        now: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
        progress: Progress = lambda *_: None,
    ) -> None:
        self._store, self._blobs, self._grace = store, blobs, grace
        self._now, self._pause, self._progress = now, pause, progress
        self._rows = 100  # of the next slice

    def plan(self, retention: Retention) -> Pruned:
        """What would go; changes nothing."""
        before = self._now() - self._grace.total_seconds()
        pruned = self._doomed(retention)
        numbers = {one.number for one in pruned.executions}
        pruned.rows = self._store.count(sorted(numbers))
        code = set(self._store.unused_code(before, numbers))
        for unused in self._unmentioned(numbers, code, before):
            pruned.blobs += len(unused.blobs)
            pruned.blob_bytes += sum(blob.size for blob in unused.blobs.values())
            code = unused.code
        pruned.code_versions = len(code)
        return pruned

    def run(self, retention: Retention) -> Pruned:
        before = self._now() - self._grace.total_seconds()
        pruned = Pruned()
        while self._remove_executions(retention, pruned):
            pass  # the newest of all went: now another one is that, and what it replayed may go too
        newest = self._store.newest()
        code = set(self._store.unused_code(before))
        for unused in self._unmentioned(frozenset(), code, before):
            for versions in _batches(sorted(unused.code), _RECORDS_AT_ONCE):
                pruned.code_versions += self._gently(partial(self._store.remove_code, versions, newest, before))
            code = set()
            self._remove_blobs(unused.blobs, pruned, before)
        pruned.free_bytes = self._store.free_bytes()
        return pruned

    # -- executions --------------------------------------------------------------------------------

    def _remove_executions(self, retention: Retention, pruned: Pruned) -> bool:
        """Whether the newest of all went, which is the last that goes, and what it replays not before it has."""
        newest = self._store.newest()
        doomed = self._doomed(retention, spared=newest)
        going = [one for one in doomed.executions if one.number != newest]
        self._remove_records(going, newest)
        self._remove_left_over(pruned)
        pruned.executions += going
        pruned.kept_for_others, pruned.newest_stays = doomed.kept_for_others, doomed.newest_stays
        if len(going) == len(doomed.executions):
            return False
        rows = self._store.count([newest])
        if not self._gently(partial(self._store.remove_whole, newest)):
            return False
        pruned.rows += rows
        pruned.executions.append(doomed.executions[0])
        return True

    def _doomed(self, retention: Retention, *, spared: int = 0) -> Pruned:
        """What may go. What the execution with the number `spared` replays is kept with it."""
        doomed = self._store.doomed(retention)
        newest = self._store.newest()
        stays = bool(doomed) and doomed[0].number == newest and self._store.count([newest]) > _ROWS_AT_ONCE
        if stays:
            del doomed[0]
        ids = {one.id for one in doomed if one.number != spared}
        needed = needed_by_kept(ids, self._store.replays()) | self._store.awaited()
        going = [one for one in doomed if one.id not in needed]
        return Pruned(executions=going, kept_for_others=len(doomed) - len(going), newest_stays=stays)

    def _remove_records(self, going: Sequence[Doomed], newest: int) -> None:
        """The newest first, so that a replay goes before what it replays."""
        done = 0
        for batch in _batches([one.number for one in going], _RECORDS_AT_ONCE):
            self._gently(partial(self._store.remove, batch, newest))
            done += len(batch)
            self._progress("executions", done, len(going))

    def _remove_left_over(self, pruned: Pruned) -> None:
        for table, number in self._store.left_over():
            while True:
                gone = self._slice(table, number)
                pruned.rows += gone
                if not gone:
                    break
                self._progress("rows", pruned.rows, None)

    def _slice(self, table: str, number: int) -> int:
        """As many rows as are removed in a moment, by what the last slice took."""
        began = time.perf_counter()
        gone = self._store.remove_rows(table, number, self._rows)
        spent = time.perf_counter() - began
        if spent > _SLICE_SECONDS:
            self._rows = max(_LEAST, self._rows // 2)
        elif spent < _SLICE_SECONDS / 2 and gone == self._rows:
            self._rows = min(_MOST, self._rows + self._rows // 4)
        self._give_way(spent)
        return gone

    def _gently(self, act: Callable[[], int]) -> int:
        began = time.perf_counter()
        done = act()
        self._give_way(time.perf_counter() - began)
        return done

    def _give_way(self, spent: float) -> None:
        self._pause(min(0.05, max(0.0005, spent * _GIVE_WAY)))

    # -- blobs and code ----------------------------------------------------------------------------

    def _unmentioned(self, without: Collection[int], code: set[str], before: float) -> Iterator[Unused]:
        """What nothing mentions but these executions, in portions that fit into memory. Code comes with the first."""
        limit = datetime.fromtimestamp(before, UTC)
        old = (blob for blob in self._blobs.list() if blob.time < limit)
        first = True
        while True:
            candidates = {blob.hash: blob for blob in islice(old, _BLOBS_AT_ONCE)}
            if not candidates and not (first and code):
                return
            marks = Marks({*candidates, *(code if first else ())}, self._blobs, self._progress)
            marks.take(self._store.texts(without))
            unused = marks.wanted & code
            marks.take(self._store.code_texts(unused))
            marks.take_nested()
            yield Unused(unused, {digest: candidates[digest] for digest in marks.wanted if digest in candidates})
            first = False

    def _remove_blobs(self, unused: Mapping[str, BlobInfo], pruned: Pruned, before: float) -> None:
        limit = datetime.fromtimestamp(before, UTC)
        for number, blob in enumerate(unused.values(), 1):
            if self._blobs.delete(blob.hash, before=limit):
                pruned.blobs += 1
                pruned.blob_bytes += blob.size
            if number % 100 == 0:
                self._progress("blobs", number, len(unused))


class Unused(NamedTuple):
    code: set[str]
    blobs: Mapping[str, BlobInfo]


def _batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    left = iter(items)
    while batch := tuple(islice(left, size)):
        yield batch


def needed_by_kept(doomed: Collection[str], replays: Mapping[str, str]) -> set[str]:
    """Of the doomed, those that a kept execution replays, be it over several others."""
    needed: set[str] = set()
    for replay, origin in replays.items():
        if replay in doomed:
            continue
        at: str | None = origin
        while at is not None and at not in needed:
            needed.add(at)
            at = replays.get(at)
    return needed


class Marks:
    """What of `wanted` is mentioned nowhere; shrinks as texts are taken."""

    def __init__(self, wanted: set[str], blobs: BlobStore, progress: Progress = lambda *_: None) -> None:
        self.wanted = wanted
        self._blobs, self._progress = blobs, progress
        self._nested: set[str] = set()

    def take(self, texts: Iterable[str]) -> None:
        for number, text in enumerate(texts, 1):
            self.wanted.difference_update(_HASH.findall(text))
            if "rung" in text:
                self._nested.update(_NESTED.findall(text))
            if number % 100 == 0:
                self._progress("pages of the journal", number, None)

    def take_nested(self) -> None:
        """Blobs that are made of texts, and those that they mention in their turn."""
        seen: set[str] = set()
        while self._nested and self.wanted:
            digest = self._nested.pop()
            if digest not in seen:
                seen.add(digest)
                self._look_into(digest)

    def _look_into(self, digest: str) -> None:
        try:
            path = self._blobs.path(digest)
            if path is None:
                self._take_bytes(self._blobs.read(digest))
            elif path.stat().st_size:
                with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    self._take_bytes(data)
        except (NotFoundError, DamagedError, FileNotFoundError):
            return  # what it mentioned cannot be reached any more

    def _take_bytes(self, data: bytes | mmap.mmap) -> None:
        if data.find(b'"ref"') < 0:
            return
        self.wanted.difference_update(found.group().decode() for found in _BYTES_HASH.finditer(data))
        self._nested.update(found.group(1).decode() for found in _BYTES_NESTED.finditer(data))
