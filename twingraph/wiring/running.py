"""A conductor with everything it needs, in a thread of this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twingraph.core.errors import ConflictError, HeldElsewhere, TwinGraphError
from twingraph.core.events import PauseRequested
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus
from twingraph.dispatch import spawner
from twingraph.engine.conductor import Conductor
from twingraph.engine.handle import Handle
from twingraph.engine.held import Keeping, Submission
from twingraph.settings import Settings
from twingraph.wiring.bodies import BodyHosts
from twingraph.wiring.codes import CodeBook
from twingraph.wiring.makers import (
    PLATFORMS,
    blob_address,
    blobs_of,
    clear_elsewhere,
    dispatch_of,
    open_home,
    open_store,
    read,
)
from twingraph.wiring.submissions import Submissions
from twingraph.wiring.values import ProcessValues

if TYPE_CHECKING:
    from twingraph.core.execution import CacheStory, ExecutionRecord
    from twingraph.core.records import Changes
    from twingraph.core.wishes import Wish
    from twingraph.engine.kernel import Node, State
    from twingraph.engine.reader import Followed
    from twingraph.engine.recorded import Recorded
    from twingraph.engine.values import Values
    from twingraph.executors.debugging import OnError
    from twingraph.sdk.prepared import CompiledPipeline
    from twingraph.sdk.workflow_builder import CompiledWorkflow

# While executions run in the process of a script, its other threads give way this often.
SWITCH_INTERVAL = 0.0005


class Runtime:
    """What a process has of one home: it starts executions there, goes on with them, and ends them."""

    def __init__(self, settings: Settings, *, adopts: Collection[str] = (), on_error: OnError | None = None) -> None:
        """`adopts`: executions of these origins it goes on with by itself when their conductor died. `on_error`: a
        debugger, for what runs in this very process."""
        self.settings = settings
        self._on_error = on_error
        self.home = open_home(settings)
        self.store = open_store(self.home, settings)
        self.blobs = blobs_of(settings, self.home)
        self.secret = self.store.secret()
        if settings.blob_url is not None or settings.database_url is not None:
            from twingraph.wiring.blob_users import sign

            sign(settings, self.home, self.store, self.blobs)
        self.handles: dict[str, Handle] = {}
        self.is_script = True  # whose own pipelines stay with its live functions
        self.shows_prints = True  # what bodies print goes to this process's streams, beside their logs
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._alive = self.store.begin(self._name)
        self.values = ProcessValues(self.blobs, self.secret)
        self.codes = CodeBook(self.store, self.blobs)
        carrying = dispatch_of(settings, self.home, self.secret, self._name, on_error)
        self.bodies = BodyHosts(
            lambda: self.conductor.link,
            self.codes,
            self.values,
            blobs_path=blob_address(settings, self.home),
            secret=self.secret,
            shows_prints=lambda: self.shows_prints,
            elsewhere=carrying.elsewhere,
            may_leave=lambda: not self.is_script,
        )
        self._submissions = Submissions(self.values, self.codes, self.bodies.live)
        self.conductor = Conductor(
            self._name,
            make_journal=self.store.journal,
            dispatch=carrying.dispatch,
            committed=carrying.committed,
            adopted=carrying.adopted,
            left=carrying.left,
            blobs=self.blobs,
            code_of=self.codes.code_of,
            kept_of=self._kept_of,
            hosts=self.bodies.host_for,
            hash_of=_hash_of,
            began=self._began,
            platforms=PLATFORMS,
            adopts=adopts,
        )
        sys.setswitchinterval(SWITCH_INTERVAL)
        self.conductor.start()

    # -- starting --------------------------------------------------------------------------------

    def submit(
        self,
        compiled: CompiledWorkflow | CompiledPipeline,
        inputs: Mapping[str, Any],
        *,
        origin: str = "script",
        target: str | None = None,
        refresh: bool = False,
    ) -> Handle:
        """Start an execution of a compiled workflow, or one that the body of a pipeline drives in this process.

        `refresh` does cached work anew, and what it gives takes the place of what was kept.
        """
        made = self._submissions.compiled(compiled, inputs, origin=origin, target=target)
        return self._start(replace(made, refresh=True) if refresh else made)

    def foresee(
        self, compiled: CompiledWorkflow, inputs: Mapping[str, Any], *, target: str | None = None
    ) -> Mapping[str, CacheStory]:
        """What it would find in the cache, by node; nothing begins."""
        made = self._submissions.compiled(compiled, inputs, origin="plan", target=target)
        with closing(read(self.home, self.settings)) as reader:
            return reader.foresee(made)

    def _start(self, submission: Submission) -> Handle:
        handle = self.conductor.submit(submission)
        self._began(handle)
        return handle

    def _began(self, handle: Handle) -> None:
        for known, held in list(self.handles.items()):  # other threads start executions too
            if held.wait(0):
                self.handles.pop(known, None)
        self.handles[handle.id] = handle

    def foresee_calls(
        self,
        compiled: CompiledPipeline,
        calls: Mapping[str, tuple[Any, Mapping[str, Any]]],
        *,
        target: str | None = None,
    ) -> Mapping[str, CacheStory]:
        """What these calls of a pipeline's body (a component and its arguments, by node) would find in the cache."""
        made = self._submissions.calls(compiled, calls, target=target)
        with closing(read(self.home, self.settings)) as reader:
            return reader.foresee(made)

    # -- going on --------------------------------------------------------------------------------

    def resume(
        self,
        execution: str,
        *,
        code: str = "recorded",
        compiled: CompiledWorkflow | CompiledPipeline | None = None,
    ) -> Handle | Followed:
        """Go on with what stopped, attach to what runs or completed, replay what failed with its finished nodes kept.

        With `code` 'current' the caller brings the workflow as it is now.
        """
        with closing(read(self.home, self.settings)) as reader:
            record = reader.record(execution)
            if record.owner == "alive" and execution not in self.handles:
                return self._attach(record)
            if record.status is ExecutionStatus.COMPLETED and code == "recorded":
                return self._follow(execution)
            if record.status is ExecutionStatus.COMPLETED:
                again = f"; run it again with: twingraph run {record.target}" if record.target else ""
                raise ConflictError(f"{execution} is completed{again}")
            if record.status not in EXECUTION_OVER and code == "recorded":
                handle = self.handles[execution] = self.conductor.adopt(execution)
                handle.wait_recorded()
                if not isinstance(handle.fault, HeldElsewhere):
                    return handle
                self.handles.pop(execution, None)  # since we looked, somebody else has taken it over
                return self._attach(reader.record(execution))
            if record.status not in EXECUTION_OVER:
                if compiled is not None:  # code that cannot run must not cost what has been done so far
                    self._resumed(reader.recorded(execution), compiled)
                self.cancel(execution)  # an execution never mixes two code versions
            return self._start(self._resumed(reader.recorded(execution), compiled))

    def _attach(self, record: ExecutionRecord) -> Followed:
        """To what another process holds; it goes on if it was paused there."""
        followed = self._follow(record.id)
        if record.owner == "alive" and record.status is ExecutionStatus.PAUSED:
            followed.wake()
        return followed

    def _follow(self, execution: str) -> Followed:
        from twingraph.engine.reader import Followed

        return Followed(read(self.home, self.settings), execution)

    def _resumed(self, recorded: Recorded, compiled: CompiledWorkflow | CompiledPipeline | None) -> Submission:
        from twingraph.wiring.replays import Replays

        return Replays(self._submissions, self.values, self.blobs).resumed(recorded, compiled)

    # -- again -----------------------------------------------------------------------------------

    def replay(
        self,
        execution: str,
        wish: Wish,
        *,
        compiled: CompiledWorkflow | CompiledPipeline | None = None,
        same: bool = False,
    ) -> Handle:
        """Run an execution that has ended, or a part of it, again: as a new one that is linked to it.

        `compiled` is its workflow as that is now; None: on the code that it ran on. With `same` it must be called the
        same, as where somebody may have handed over another one.
        """
        from twingraph.wiring.replays import Replays, check_same

        with closing(read(self.home, self.settings)) as reader:
            record = reader.record(execution)
            if record.status not in EXECUTION_OVER:
                how = "it is still carried out" if record.owner == "alive" else f"twingraph resume {execution} goes on"
                raise ConflictError(f"{execution} has not ended ({record.status}), so it cannot be replayed: {how}")
            if compiled is None:
                self._expect(record, with_body=wish.node is None)
            replays = Replays(self._submissions, self.values, self.blobs)
            recorded = reader.recorded(execution)
            if same and compiled is not None:
                check_same(recorded, compiled)
            made = replays.submission(recorded, wish, compiled, debugs=self._on_error is not None)
            recorded.let_go()
        return self._start(replace(made, refresh=True))  # what is to run again is not answered by a cache

    def _expect(self, record: ExecutionRecord, *, with_body: bool) -> None:
        """To start the processes of recorded code takes as long as to read thousands of nodes. A script has started
        its worker when it was imported."""
        with suppress(TwinGraphError):  # whatever is wrong with the code is told once it is needed
            if record.code_version is None:
                return
            code = self.codes.code_of(record.code_version)
            if not self.is_script and not self.settings.inline and self.settings.dispatch != "celery":
                spawner.start_ahead(code.interpreter, code.working_dir)
            if with_body:
                self.bodies.expect(code)

    def _kept_of(
        self, execution: str, changes: Changes | None, given: Sequence[str], grown: Callable[[int], None]
    ) -> Keeping:
        """What a replay of this execution keeps; asked on the conductor's thread when a replay is taken over."""
        from twingraph.engine.replay import keeping

        with closing(read(self.home, self.settings)) as reader:
            return (yield from keeping(reader.recording(execution), changes, given, grown))

    def send_signal(self, execution: str, name: str, text: str) -> None:
        """Give an execution a signal, wherever it runs; `text` is the value as JSON text."""
        with closing(read(self.home, self.settings)) as reader:
            reader.send_signal(execution, name, text)

    def stopped_before(self, execution: str) -> list[ExecutionRecord]:
        """Earlier executions of the same workflow that stand still and can be resumed."""
        with closing(read(self.home, self.settings)) as reader:
            workflow = reader.record(execution).workflow_id
            found, _ = reader.executions(workflow_id=workflow, limit=50)
        return [
            record
            for record in found
            if record.id != execution
            and (
                record.status is ExecutionStatus.PAUSED
                or (record.owner == "gone" and record.status not in EXECUTION_OVER)
            )
        ]

    # -- ending ----------------------------------------------------------------------------------

    def cancel(self, execution: str, timeout: float = 10.0) -> None:
        """Stop an execution wherever it runs; returns when it has ended. One that is cancelled stays so."""
        with closing(read(self.home, self.settings)) as reader:
            record = reader.record(execution)
        if record.status is ExecutionStatus.CANCELLED:
            return
        if record.status in EXECUTION_OVER:
            raise ConflictError(f"{execution} has already ended: {record.status}")
        handle: Handle | Followed
        if record.owner == "alive" and execution not in self.handles:
            handle = self._follow(execution)
            handle.cancel()
        else:
            handle = self.handles[execution] = self.conductor.cancel(execution)
        if not handle.wait(timeout):
            raise TwinGraphError(f"{execution} has not ended within {timeout:g} s of being cancelled")
        if record.owner == "gone":
            self._clear_elsewhere(execution)

    def _clear_elsewhere(self, execution: str) -> None:
        """Wherever it may have begun something: a process may die before it has noted that it did."""
        with closing(read(self.home, self.settings)) as reader:
            used = {node.platform for node in reader.view(execution).nodes} - {"local"}
        if used:
            clear_elsewhere(execution, used & set(PLATFORMS), self.settings, self.home, self.secret)

    def interrupt(self, execution: str, *, kill: bool) -> None:
        self.conductor.interrupt(execution, kill=kill)

    def pause(self, execution: str) -> None:
        self.conductor.feed(execution, PauseRequested())

    def unfinished(self) -> list[Handle]:
        return [handle for handle in list(self.handles.values()) if not handle.wait(0)]

    def forked(self) -> None:
        """In a forked child: what its parent carries out stays its parent's."""
        self.conductor.forked()
        for handle in self.handles.values():
            handle.forked(TwinGraphError(f"{handle.id} is carried out by the process that this one was forked from"))

    def close(self) -> None:
        self.conductor.stop()
        self.bodies.close()
        self._alive.release()
        self.home.close()


def _hash_of(state: State, values: Values, node: Node) -> Generator[None, None, str | None]:
    from twingraph.engine.identity import hashing

    return hashing(state, values, node)
