"""How a run ended that its worker could not tell about, in the words of `dispatch.base`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from twingraph.core.records import ErrorRecord, check_moments
from twingraph.dispatch.base import NodeRun, Outcome
from twingraph.dispatch.embedded.process import CLOSED_DESCRIPTORS, WROTE_TO_US, WorkerProcess
from twingraph.dispatch.embedded.strand import Doom, Held
from twingraph.executors.exits import ending_of

# A process that ends so often in a row as it takes the same run up ends because of it.
DEATHS_BEFORE_IT_BEGAN = 5
# Of those that nobody has asked about again, this many are remembered.
_REMEMBERED = 10_000


def death(worker: WorkerProcess, held: Held, number: int, returncode: int, tail: str) -> Outcome:
    """The end of the run that a process had begun when it ended. `tail` is what it wrote last."""
    doom = worker.doom
    if doom is not None and doom.number == number:
        return ending(held, doom.status, began_at(worker, held), doom.error, worker)
    status, what, code = ending_of(returncode)
    fault = worker.fault or (CLOSED_DESCRIPTORS if worker.marks.is_cut_off else None)
    if fault is not None:
        status, what, code = "crashed", fault, None
    record = error(
        held.run, "crashed" if status == "crashed" else "worker_lost",
        "WorkerCrashed" if status == "crashed" else "WorkerLost", f"{what} while {held.run.node} ran",
        exit_code=code, traceback=tail[tail.rfind("Fatal Python error") :] if "Fatal Python error" in tail else None,
    )  # fmt: skip
    return ending(held, status, began_at(worker, held), record, worker)


class Unbegun:
    """Runs whose process ended on its own before they began: each goes again, but not without end."""

    def __init__(self) -> None:
        self._deaths: dict[tuple[str, str, int], int] = {}

    def charged(self, held: Held, returncode: int, tail: str) -> Outcome | None:
        """One more of these deaths; the ending of the run, where it was one too many in a row."""
        status, what, code = ending_of(returncode)
        if status != "crashed":  # somebody ended it from outside, whatever it was to run
            return None
        run, key = held.run, (held.lane.execution, held.run.node, held.run.attempt)
        deaths = self._deaths[key] = self._deaths.pop(key, 0) + 1
        if len(self._deaths) > _REMEMBERED:
            del self._deaths[next(iter(self._deaths))]
        if deaths < DEATHS_BEFORE_IT_BEGAN:
            return None
        del self._deaths[key]
        why = tail.strip().rpartition("\n")[2]
        message = f"{what} before {run.node} could begin, {deaths} times in a row"
        record = error(
            run, "crashed", "WorkerCrashed", f"{message}: {why}" if why else message,
            exit_code=code, permanent=True,
        )  # fmt: skip
        return ending(held, "crashed", None, record, None)

    def clear(self, held: Held) -> None:
        if self._deaths:
            self._deaths.pop((held.lane.execution, held.run.node, held.run.attempt), None)


def began_at(worker: WorkerProcess, held: Held) -> float:
    """Where user code may have written over it, by the number of its descriptor, it is now for all that is known."""
    at = (worker if held.strand is None else held.strand).marks.at
    try:
        check_moments(at)
    except ValueError:
        return time.time()
    return time.time() if worker.fault is WROTE_TO_US else at


def doomed(worker: WorkerProcess, held: Held, doom: Doom) -> Outcome:
    """It was asked to end, and it, or its process, has."""
    return ending(held, doom.status, began_at(worker, held), doom.error, worker)


def shared_death(worker: WorkerProcess, held: Held, returncode: int | None) -> Outcome:
    """The end of a run beside others when its process ended: nobody knows whose doing it was, or it was another's.
    `returncode` None: we ended the process because of another run."""
    what = "the process was ended for another run that did not end" if returncode is None else ending_of(returncode)[1]
    message = f"{what} while {held.run.node} and others ran in it; it runs again"
    outcome = ending(
        held, "lost", began_at(worker, held), error(held.run, "worker_lost", "WorkerLost", message), worker
    )
    outcome.begun = False
    return outcome


def cancelled(held: Held) -> Outcome:
    """It was to be cancelled and had not begun."""
    record = error(held.run, "cancelled", "Cancelled", f"{held.run.node} was cancelled before it began")
    return ending(held, "cancelled", None, record, None)


def cancelled_while_it_ran(run: NodeRun) -> ErrorRecord:
    return error(run, "cancelled", "Cancelled", f"{run.node} was cancelled while it ran")


def error(
    run: NodeRun,
    code: str,
    kind: str,
    message: str,
    *,
    types: Sequence[str] | None = None,
    exit_code: int | None = None,
    traceback: str | None = None,
    permanent: bool = False,
) -> ErrorRecord:
    return ErrorRecord(
        code=code, error_type=kind, message=message, node_id=run.node, attempt=run.attempt,
        types=tuple(types) if types is not None else (kind,), exit_code=exit_code, traceback=traceback,
        permanent=permanent,
    )  # fmt: skip


def ending(
    held: Held, status: str, started: float | None, record: ErrorRecord, worker: WorkerProcess | None
) -> Outcome:
    return Outcome(
        execution=held.lane.execution,
        node=held.run.node,
        attempt=held.run.attempt,
        status=status,
        started=started,
        ended=time.time(),
        memory=held.peak or None,
        worker=worker.name if worker is not None else None,
        error=record,
        begun=started is not None,
    )
