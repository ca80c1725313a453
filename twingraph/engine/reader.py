"""Reading executions from any process: no conductor is needed, none is disturbed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from twingraph.core import codec
from twingraph.core.errors import ConflictError
from twingraph.core.execution import CacheStory, ExecutionRecord, ExecutionView, LogRecord, TreeSnapshot
from twingraph.core.static_plan import StaticPlan
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus
from twingraph.engine import views
from twingraph.engine.held import Submission
from twingraph.engine.inbox import signal_body
from twingraph.engine.recorded import Recorded
from twingraph.store.base import Records
from twingraph.store.blobs.base import BlobStore


class Reader:
    """Reads the executions of one store. Belongs to one thread at a time."""

    def __init__(self, records: Records, blobs: BlobStore, leave: Callable[[], None] | None = None) -> None:
        """`leave` gives back what was opened for this reader alone."""
        self._records = records
        self._leave = leave
        self.blobs = blobs
        self._watches: dict[str, views.Watch] = {}

    def resolve(self, id_or_last: str) -> str:
        return views.record_of(self._records, id_or_last).id

    def record(self, execution: str) -> ExecutionRecord:
        return self._records.record(execution)

    def executions(
        self, *, limit: int = 20, offset: int = 0, status: str | None = None, workflow_id: str | None = None
    ) -> tuple[list[ExecutionRecord], int]:
        wanted = ExecutionStatus(status) if status is not None else None
        return self._records.page(limit=limit, offset=offset, status=wanted, workflow_id=workflow_id)

    def view(self, execution: str) -> ExecutionView:
        return views.view(self._records, self.blobs, execution)

    def tree(self, execution: str, *, children: int = 20) -> TreeSnapshot:
        watch = self._watches.get(execution)
        if watch is None:
            watch = self._watches[execution] = views.Watch(self._records, execution)
        return watch.tree(children)

    def plan(self, execution: str) -> StaticPlan | None:
        """What its body was to call; made now when nobody has asked before. None for a drawn workflow."""
        from twingraph.engine import plans  # seldom asked for

        return plans.plan_of(self._records, self.blobs, execution)

    def foresee(self, submission: Submission) -> Mapping[str, CacheStory]:
        """What a drawn workflow would find in the cache, by node."""
        from twingraph.engine import foreseeing  # seldom asked for

        return foreseeing.foresee(self._records, self.blobs, submission)

    def logs(
        self,
        execution: str,
        *,
        after: int = 0,
        node: str | None = None,
        level: str | None = None,
        limit: int = 1000,
    ) -> list[LogRecord]:
        """One page, in order of time: lines are written as they come, some a moment after later ones. The next page
        begins after the greatest number of this one."""
        page = self._records.logs(execution, after=after, node=node, level=level, limit=limit)
        return sorted(page, key=lambda record: record.timestamp)

    def value(self, text: str) -> object:
        return codec.plain(text, limit=1000)

    def recorded(self, execution: str) -> Recorded:
        return Recorded(self._records, execution, self.blobs)

    def recording(self, execution: str) -> Recorded:
        """The same, to be read by and by."""
        return Recorded(self._records, execution, self.blobs, by_and_by=True)

    def post(self, execution: str, kind: str) -> None:
        self._records.post(execution, kind, "{}")

    def send_signal(self, execution: str, name: str, text: str) -> None:
        """Leave a signal, with its value's text, for the execution: wherever it runs, or once it is resumed."""
        if not self._records.post(execution, "signal", signal_body(name, text)):
            status = self._records.record(execution).status
            raise ConflictError(f"{execution} has already ended ({status}): nothing waits for the signal {name!r}")

    def close(self) -> None:
        self._records.close()
        if self._leave is not None:
            self._leave()


class Followed:
    """An execution that another living process carries out."""

    def __init__(self, reader: Reader, execution: str) -> None:
        self.id = execution
        self.status = ExecutionStatus.RUNNING
        self.deserted = False  # that process is gone: a lease may say otherwise for some seconds after its death
        self._reader = reader
        self._left = False

    def interrupt(self, *, kill: bool) -> None:
        """Look no longer; the other process goes on."""
        self._left = True

    def cancel(self) -> None:
        self._reader.post(self.id, "cancel")

    def wake(self, patience: float = 5.0) -> None:
        """Ask the process that holds it paused to go on; returns once it does, so that `wait` is not over at once."""
        self._reader.post(self.id, "resume")
        deadline = time.monotonic() + patience
        while self._reader.record(self.id).status is ExecutionStatus.PAUSED and time.monotonic() < deadline:
            time.sleep(0.02)

    def wait(self, timeout: float | None = None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._left:
            record = self._reader.record(self.id)
            self.status = record.status
            if record.status in EXECUTION_OVER or record.status is ExecutionStatus.PAUSED:
                return True
            if record.owner == "gone":
                self.deserted = True
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        return True
