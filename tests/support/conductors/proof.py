"""Conductors come and go while executions run; afterwards the journal must be what one would have written."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.conductors.members import Member
from tools.services.postgres import Postgres
from twingraph.core.errors import StoreError
from twingraph.core.events import Adopted, event_from
from twingraph.core.statuses import ExecutionStatus
from twingraph.engine.folding import restore
from twingraph.store.base import Row
from twingraph.store.postgres.connection import connect
from twingraph.store.postgres.store import PostgresStore

RESULT = "6"
# Which session wrote which row: what no conductor says of itself.
WITNESS = """
create table written (execution bigint not null, seq bigint not null, writer text not null);
create function witness() returns trigger language plpgsql as $$ begin
    insert into written select execution, seq, current_setting('application_name') from fresh;
    return null;
end $$;
create trigger witness after insert on events referencing new table as fresh
    for each statement execute function witness();
"""


@dataclass(frozen=True, kw_only=True)
class Course:
    """What is done, in seconds from the beginning."""

    executions: int
    seconds: float  # over which they are started
    kill_every: float
    sleep_at: float
    sleep_for: float
    restart_at: float
    node_seconds: float = 0.05
    members: int = 3
    patience: float = 120.0  # for the last of them to be over


@dataclass
class Told:
    """What came of it."""

    kills: int = 0
    take_overs: int = 0
    runs_again: int = 0
    slowest_take_over: float = 0.0
    slowest_after_several: float = 0.0  # where who took it over was killed before anything was written
    taken_from_sleepers: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Proof:
    def __init__(self, course: Course, server: Postgres, folder: Path) -> None:
        self._course = course
        self._server = server
        self._folder = folder
        self._url = server.environment(server.port())["TWINGRAPH_DATABASE_URL"]
        self._all: list[Member] = []
        self._keys = iter(range(course.executions))
        self._known: dict[int, str] = {}
        self._lives = itertools.count()
        self.told = Told()

    def run(self) -> Told:
        store = PostgresStore(self._url)
        with connect(self._url) as connection:
            connection.execute(WITNESS)
        members = [self._member(place) for place in range(self._course.members)]
        try:
            for member in members:
                self._expect(member.ready.wait(60), f"{member.writer} did not begin")
            began = time.monotonic()
            self._play(members, began)
            self._wait_for_the_end(members, began)
        finally:
            for member in members:
                member.end()
        self.told.seconds = time.monotonic() - began
        self._judge(store)
        return self.told

    def _member(self, place: int) -> Member:
        member = Member(place, next(self._lives), self._url, self._folder, self._course.node_seconds)
        self._all.append(member)
        return member

    # -- what happens ----------------------------------------------------------------------------

    def _play(self, members: list[Member], began: float) -> None:
        course = self._course
        plan = self._plan()
        at, act = next(plan)
        started = 0
        while (now := time.monotonic() - began) < course.seconds:
            while now >= at:
                self._do(act, members)
                at, act = next(plan)
            while started < min(course.executions, course.executions * now / course.seconds):
                awake = [member for member in members if not member.asleep]
                awake[started % len(awake)].start(next(self._keys))
                started += 1
            self._look_after(members)
            time.sleep(0.02)
        for key in self._keys:
            members[key % len(members)].start(key)
        for member in members:
            if member.asleep:
                member.wake()

    def _plan(self) -> Iterator[tuple[float, str]]:
        course = self._course
        kills = [(course.kill_every * n, "kill") for n in range(1, int(course.seconds / course.kill_every))]
        others = [(course.sleep_at, "sleep"), (course.sleep_at + course.sleep_for, "wake")]
        yield from sorted([*kills, *others, (course.restart_at, "restart")])
        yield float("inf"), "nothing"

    def _do(self, act: str, members: list[Member]) -> None:
        if act == "kill":
            victims = [place for place, member in enumerate(members) if not member.asleep]
            place = victims[self.told.kills % len(victims)]
            members[place].kill()
            members[place] = self._member(place)
            self.told.kills += 1
        elif act == "sleep":
            members[-1].sleep()
        elif act == "wake":
            members[-1].wake()
        elif act == "restart":
            os.kill(self._server.pid(), signal.SIGQUIT)  # at once, as in a crash
            while self._server.running():
                time.sleep(0.01)
            self._server.start()

    def _look_after(self, members: list[Member]) -> None:
        for member in self._all:
            self._known.update(member.heard())
        for place, member in enumerate(members):
            if not member.lives:
                self.told.wrong.append(f"{member.writer} ended by itself ({member.process.returncode})")
                member.forget()
                members[place] = self._member(place)

    def _wait_for_the_end(self, members: list[Member], began: float) -> None:
        """Those of which nobody said that they were recorded are looked up, and begun again if they are nowhere."""
        deadline = time.monotonic() + self._course.patience
        quiet = time.monotonic() + 2
        while time.monotonic() < deadline:
            self._look_after(members)
            with connect(self._url) as connection:
                there = {
                    int(target): execution
                    for target, execution in connection.execute("select target, id from executions")
                }
                left = connection.execute("select count(*) from executions where completed_at is null").fetchone()
            open_now = {key for member in members for key in member.open}
            missing = set(range(self._course.executions)) - there.keys() - open_now
            if time.monotonic() > quiet:
                for key in missing:
                    members[key % len(members)].start(key)
                for member in members:
                    member.open -= there.keys()
            if left == (0,) and len(there) == self._course.executions:
                return
            time.sleep(0.2)
        self.told.wrong.append("not all was over in time")

    # -- what must hold --------------------------------------------------------------------------

    def _judge(self, store: PostgresStore) -> None:
        records = store.records()
        with connect(self._url) as connection:
            found = connection.execute("select target, id, number, owner from executions order by number").fetchall()
            written: dict[int, dict[int, str]] = {}
            for number, seq, writer in connection.execute("select execution, seq, writer from written"):
                written.setdefault(number, {})[seq] = writer
        keys = Counter(int(target) for target, *_ in found)
        self._expect(set(keys) == set(range(self._course.executions)), f"{len(keys)} executions are there")
        self._expect(max(keys.values()) == 1, "an execution is there twice")
        by_key = {int(target): execution for target, execution, *_ in found}
        lost = [key for key, execution in self._known.items() if by_key.get(key) != execution]
        self._expect(not lost, f"what was said to be recorded is not there: {lost[:3]}")
        for target, execution, number, owner in found:
            rows = records.rows(execution)
            self._one(f"{target} ({execution})", execution, rows, written[number])
            self._expect(owner is None, f"{target} is over and still held")
        self._effects()
        records.close()

    def _one(self, name: str, execution: str, rows: list[Row], writers: dict[int, str]) -> None:
        self._expect([row.seq for row in rows] == list(range(1, len(rows) + 1)), f"{name}: rows are lost or twice")
        try:
            state = restore(execution, None, rows)
        except StoreError as error:
            self.told.wrong.append(f"{name}: {error}")
            return
        self._expect(state.status is ExecutionStatus.COMPLETED, f"{name}: {state.status}")
        self._expect((rows[-1].data or "").split("\n")[0] == RESULT, f"{name}: gave {rows[-1].data}")
        self._expect(sum(row.kind == "execution_ended" for row in rows) == 1, f"{name}: ended twice")
        self._one_writer_at_a_time(name, rows, writers)

    def _one_writer_at_a_time(self, name: str, rows: list[Row], writers: dict[int, str]) -> None:
        """From one take-over to the next, all is written by who took it over."""
        by_process = {str(member.process.pid): member for member in self._all}
        holder, epoch = writers[1], 1
        for row in rows:
            event = event_from(row.kind, row.body) if row.kind == "adopted" else None
            if isinstance(event, Adopted):
                before, after = holder, by_process[event.owner.partition("-")[0]].writer
                self._took_over(before, row.at, at_once=event.epoch == epoch + 1)
                holder, epoch = after, event.epoch
            self._expect(writers[row.seq] == holder, f"{name}: {writers[row.seq]} wrote {row.seq}, held by {holder}")

    def _took_over(self, before: str, at: float, *, at_once: bool) -> None:
        self.told.take_overs += 1
        loser = next(member for member in self._all if member.writer == before)
        if loser.killed_at is not None and loser.killed_at <= at:
            slowest = "slowest_take_over" if at_once else "slowest_after_several"
            setattr(self.told, slowest, max(getattr(self.told, slowest), at - loser.killed_at))
        else:
            self.told.taken_from_sleepers += 1

    def _effects(self) -> None:
        runs = Counter((self._folder / "effects").read_text(encoding="utf-8").splitlines())
        again = [run for run, count in runs.items() if count > 1]
        self._expect(not again, f"the same attempt ran twice: {again[:3]}")
        nodes = {tuple(run.split()[:2]) for run in runs}
        self._expect(len(nodes) == 3 * self._course.executions, f"{len(nodes)} nodes ran")
        self.told.runs_again = runs.total() - len(nodes)

    def _expect(self, holds: bool, words: str) -> None:
        if not holds:
            self.told.wrong.append(words)
