"""A worker in this process, and a look at all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twingraph.core.errors import ServerError, TwinGraphError
from twingraph.dispatch.served import serves
from twingraph.settings import Settings
from twingraph.store.home import Home

if TYPE_CHECKING:
    from twingraph.dispatch.celery.signing import Seal


def work(settings: Settings, queues: Sequence[str], note: Callable[[str], object]) -> int:
    """Carry nodes out until a signal says that it is enough; the code to exit with."""
    from twingraph.dispatch.celery.application import queue_name
    from twingraph.dispatch.celery.serving import let_go, worker_app
    from twingraph.dispatch.celery.worker import worker_name

    app = worker_app(settings, lambda: note(f"ready: worker serves {', '.join(queues)}"))
    worker = app.Worker(
        hostname=worker_name(),
        pool="threads",
        concurrency=app.conf.worker_concurrency,
        queues=[queue_name(queue) for queue in queues],
        loglevel="WARNING" if settings.log_level in ("warning", "error") else settings.log_level.upper(),
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    try:
        worker.start()
    finally:
        let_go(app)  # a defect in what speaks with the broker must not leave a process behind that does nothing
    return int(worker.exitcode or 0)


def workers(settings: Settings) -> dict[str, Any]:
    """What each worker that answers says of itself, what waits in the queues that it serves or has heard of, and in
    which of these something waits though none that goes on and has our key serves it. ServerError when the broker
    cannot be asked."""
    from twingraph.dispatch.celery.application import is_of_the_broker, make_app, sending

    app = make_app(settings)
    try:
        return _told(app, _seal(settings))
    except Exception as error:
        connection = sending(app)
        if not is_of_the_broker(connection, error):
            raise
        raise ServerError(f"the broker at {connection.as_uri()} cannot be asked: {error}") from error


def _told(app: Any, seal: Seal | None) -> dict[str, Any]:
    from twingraph.dispatch.celery.application import QUEUE, ask_workers, queue_name, queue_word, waiting

    found = ask_workers(app, seal)
    heard = {str(queue) for worker in found for queue in worker["queues"]}
    served = {str(queue) for worker in found if serves(worker) for queue in worker["queues"]}
    backlogs = {queue_word(name) for worker in found for name in worker.pop("backlogs")}
    queues = {name: waiting(app, queue_name(name)) for name in sorted({QUEUE} | heard | backlogs)}
    unserved = [name for name, depth in queues.items() if depth > 0 and name not in served]
    return {"workers": found, "queues": queues, "unserved": unserved}


def _seal(settings: Settings) -> Seal | None:
    """Ours; None where it cannot be read now, which is nothing that a status should fail for."""
    from twingraph.dispatch.celery.worker import seal_of
    from twingraph.wiring.makers import blobs_of

    try:
        home = Home(settings.home).open()
        home.close()
        return seal_of(settings, home, blobs_of(settings, home))
    except (TwinGraphError, OSError):
        return None
