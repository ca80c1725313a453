"""What ties the life of a Celery worker to ours: when it begins and ends, and what it does with a lane.

A lane passes by Celery's pool: it waits on no thread of its own, and costs none of what Celery does around a task.
"""

from __future__ import annotations

import logging
import os
import queue
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

from celery import bootsteps, signals
from celery.worker.control import control_command, inspect_command

from twingraph.core.errors import TwinGraphError
from twingraph.dispatch.celery.application import STATUS, WISH, mailbox, make_app
from twingraph.dispatch.celery.carrier import Carrier
from twingraph.dispatch.celery.deliveries import Deliveries
from twingraph.dispatch.celery.threads import Receiver
from twingraph.dispatch.celery.worker import make_carrier
from twingraph.dispatch.embedded import PoolOptions
from twingraph.settings import Settings, load

LOG = logging.getLogger("twingraph.celery")

# How often a worker that ends looks whether its last lane has.
LOOK_SECONDS = 0.05
# A broker that is away must not hold up its end.
EAR_SECONDS = 1.0

_carriers: dict[int, Carrier] = {}  # by the application whose worker it belongs to
_intakes: WeakKeyDictionary[Any, Intake] = WeakKeyDictionary()  # by Celery's consumer


def worker_app(settings: Settings | None = None, ready: Callable[[], object] = lambda: None) -> Any:
    """The application of a worker. It carries nothing before Celery starts the worker; `ready` hears when it does."""
    given = settings or load({})
    app = make_app(given)
    app.conf.worker_concurrency = lanes_at_once(given)
    app.steps["worker"].add(Lanes)

    def begin(sender: Any, **_: object) -> None:
        if sender.app is app:
            try:
                carrier = _carriers[id(app)] = make_carrier(given, app, sender.hostname)
            except TwinGraphError as error:  # anything less would be caught and logged, and the worker would go on
                raise SystemExit(f"error: {error}") from error
            carrier.start()

    def tell(sender: Any, **_: object) -> None:
        if sender.app is app:
            ready()

    def drain(**_: object) -> None:
        if (carrier := _carriers.get(id(app))) is not None:
            carrier.drain()

    def end(sender: Any, **_: object) -> None:
        if sender.app is app:
            let_go(app)

    signals.worker_init.connect(begin, weak=False)
    signals.worker_ready.connect(tell, weak=False)
    signals.worker_shutting_down.connect(drain, weak=False)
    signals.worker_shutdown.connect(end, weak=False)
    return app


def let_go(app: Any) -> None:
    """The end of what its worker carries, whatever became of that."""
    if (carrier := _carriers.pop(id(app), None)) is not None:
        carrier.stop()


def lanes_at_once(settings: Settings) -> int:
    """One for each process, and some for those that are quick."""
    processes = settings.workers or PoolOptions().workers
    return settings.lanes or processes + min(processes, 8)


class Lanes(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery tells no types
    """A worker that is asked to end waits for its lanes: after its consumer has ended, before its connection does. What
    is asked of it meanwhile, and wished, it hears at an ear of its own."""

    requires = ("celery.worker.components:Pool",)

    def stop(self, worker: Any) -> None:
        carrier, intake = _carriers.get(id(worker.app)), _intakes.get(worker.consumer)
        if carrier is not None:
            carrier.drain()
            ear = last_ear(worker.app, worker.hostname)
            ear.start()
            waits = True
            while waits:
                waits = carrier.has_lanes
                if intake is not None:
                    intake.settle()
                time.sleep(LOOK_SECONDS if waits else 0.0)
            ear.close(EAR_SECONDS)

    def terminate(self, worker: Any) -> None:
        """Asked to end at once."""


# -- a lane ----------------------------------------------------------------------------------------


def strategy(task: Any, app: Any, consumer: Any, **_: Any) -> Callable[..., None]:
    """What is done with a message that brings a lane. Celery asks for it with each new connection of a worker."""
    carrier = _carriers.get(id(app))
    if carrier is None:
        raise TwinGraphError("this worker carries nothing; start it with `twingraph worker`")
    intake = _intakes.get(consumer)
    if intake is None:
        intake = _intakes[consumer] = Intake(carrier, consumer, owes=app.conf.task_acks_late)
    intake.connected()
    return intake.hear


class Intake:
    """Lanes from their message until they have ended. On the thread of Celery's loop, but for `_over`."""

    def __init__(self, carrier: Carrier, consumer: Any, *, owes: bool) -> None:
        self._carrier = carrier
        self._consumer = consumer
        self._owes = owes
        self._deliveries = Deliveries(consumer, owes=owes)
        self._heard: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def connected(self) -> None:
        if self._consumer.hub is not None:
            self._consumer.hub.add_reader(self._reading, self.settle)
        self._deliveries.connected()

    def hear(self, message: Any, *_: Any, **__: Any) -> None:
        try:
            (text, given), _, _ = message.payload
        except Exception as error:  # what kombu's decoders raise has nothing in common
            LOG.error("refused: a message that is no lane (%s: %s)", type(error).__name__, str(error)[:200])
            self._deliveries.refuse(message)
            return
        offer = self._carrier.read(text, given)
        if offer is None:
            self._deliveries.refuse(message)
        elif not self._deliveries.accept(message, beside=offer.is_beside):
            self._carrier.give_back(offer)
        else:
            told = partial(self._over, partial(self._deliveries.told, message))
            self._carrier.carry(
                offer,
                redelivered=bool((message.delivery_info or {}).get("redelivered")),
                shared=self._owes,
                told=told if self._owes and offer.is_beside else None,
                ended=partial(self._over, partial(self._deliveries.end, message)),
            )

    def _over(self, act: Callable[[], None]) -> None:
        """On any thread. Celery looks for the next lane when something happens on one of its sockets."""
        self._heard.put(act)
        if self._consumer.hub is None:  # where Celery has no loop it looks now and then
            self._consumer.call_soon(self.settle)
            return
        with suppress(BlockingIOError):
            os.write(self._writing, b".")

    def close(self) -> None:
        """Nothing has to be heard any more."""
        os.close(self._reading)
        os.close(self._writing)

    def settle(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._reading, 4096)
        with suppress(queue.Empty):
            while True:
                self._heard.get_nowait()()


# -- remote control --------------------------------------------------------------------------------


def _wish(state: Any, text: str, signature: str) -> None:
    """Cancel, recall, drop or grant. On the thread that hears the broker."""
    if (carrier := _carriers.get(id(state.app))) is not None:
        carrier.wish(text, signature)


def _status(state: Any, challenge: str = "") -> Mapping[str, Any] | None:
    carrier = _carriers.get(id(state.app))
    return None if carrier is None else carrier.status(challenge)


def last_ear(app: Any, hostname: str) -> Receiver:
    """What Celery does with such commands, when it does not any more."""
    box = mailbox(app, None)
    node = box.Node(f"{hostname}-ends", state=SimpleNamespace(app=app), handlers={WISH: _wish, STATUS: _status})

    def hear(message: Any) -> None:
        node.channel = message.channel
        try:
            if message.payload.get("method") in node.handlers:
                node.handle_message(message.payload, message)
        except Exception as error:  # anybody may have said it
            LOG.error("refused: a command that is none (%s: %s)", type(error).__name__, str(error)[:200])

    queue = box.get_queue(node.hostname)
    return Receiver("twingraph-last-ear", app.connection_for_read, queue, hear, forgetful=True)


control_command(name=WISH, args=[("text", str), ("signature", str)])(_wish)
inspect_command(name=STATUS, args=[("challenge", str)])(_status)
