"""The dispatch of a conductor that has workers elsewhere: lanes go out through a broker, reports come to its desk.

What a worker says is applied on the loop and acknowledged once the conductor has committed what came of it. Word about
a run that is not open here (ended, given up, never sent) is nobody's, and the worker that says it is told to drop it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from kombu.message import Message

from twingraph.dispatch.base import Lane, NodeRun, Outcome, Report, Returned
from twingraph.dispatch.celery import application, endings
from twingraph.dispatch.celery.errands import Errand, Errands
from twingraph.dispatch.celery.far_hosts import FarHosts
from twingraph.dispatch.celery.hints import ANSWER_SECONDS, Hints
from twingraph.dispatch.celery.holding import Gone, Holding, Sent
from twingraph.dispatch.celery.messages import (
    REPORTS,
    Beat,
    Claim,
    Left,
    Misdirected,
    OfBodies,
    Requeued,
    SomeOutputs,
    Taken,
    UnreadableError,
    Wish,
    Word,
    lane_text,
    reports_of,
    text_in,
)
from twingraph.dispatch.celery.owing import Owing
from twingraph.dispatch.celery.signing import ForgedError, Seal
from twingraph.dispatch.celery.threads import PREFETCH, Receiver, Sender

LOG = logging.getLogger("twingraph.celery")

TICK_SECONDS = 0.5
# So often is looked into queues where something was not taken for long; less than two ticks, more than one.
LOOK_SECONDS = 0.75
# A tick that comes so much later tells that this machine slept.
LATE_SECONDS = 2.0
# A broker that waits for the acknowledgement of so much soon gives nothing more, no sign of life of a worker either.
MANY_OWED = PREFETCH * 4 // 5
# What was wished and has not come about is wished again.
AGAIN_SECONDS = 2.0
CLOSE_SECONDS = 5.0
# So many executions are known.
REMEMBERED = 10_000


class CeleryDispatch:
    """See `dispatch.base.Dispatch`."""

    def __init__(
        self,
        app: Any,
        name: str,
        place: str,
        seal: Seal,
        secret: bytes,
        prepare: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
        *,
        is_over: Callable[[str], bool],
    ) -> None:
        """`prepare` makes what workers look for in the blob store; called on a thread, at first and then now and then,
        so that no prune takes it away. `is_over` is asked there too, of any execution of this place."""
        self._app = app
        self._name = name
        self._desk = application.desk_name(name)
        self._place = place
        self._seal = seal
        self._key = seal.mask(secret)
        self._clock = clock
        self._holding = Holding()
        self._count = 0
        self._suspects: deque[Lane] = deque()  # each waits until the one before it has ended
        self._epochs: OrderedDict[str, int] = OrderedDict()  # of executions that were taken over
        self._strewn: set[str] = set()  # executions of which lost workers may have left something on their machines
        self._looked = 0.0
        self._ticked = 0.0
        self._connected: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        seen, refused = self._on_loop(self._seen), self._on_loop(self._refused)
        errands = Errands(app, seal, prepare, clock, seen=seen, refused=refused, is_over=is_over)
        connect = partial(application.sending, app)
        self._counted = bool(app.conf.task_acks_late)
        self._sender: Sender[Errand] = Sender("twingraph-sender", connect, errands.send, errands.give_up)
        self._receiver = Receiver(
            "twingraph-desk",
            app.connection_for_read,
            application.desk_queue(self._desk),
            self._receive,
            forgetful=not self._counted,  # Redis: nobody but us hears this queue, and not twice
        )
        self._hints = Hints(partial(application.ask_workers, app, seal, ANSWER_SECONDS))
        self._owing = Owing(self._receiver.acknowledge)
        self.hosts = FarHosts(name, self._desk, place, self._key, self._sender.put, clock)
        self._loop: asyncio.AbstractEventLoop
        self._report: Callable[[Report], None]

    async def start(self, report: Callable[[Report], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._report = report
        self._ticked = self._clock()
        self._sender.start()
        self._receiver.start()
        self._tick()

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            left = [Wish("drop", sent.id) for sent in self._holding.all()]
            if left:
                self._sender.put(("wishes", left))
            self.hosts.close()
            self._close()  # the loop has nothing else to do any more, and no other thread may begin at exit

    def _on_loop(self, act: Callable[..., object]) -> Callable[..., object]:
        """Of another thread, unless the loop has ended."""

        def call(*args: object) -> None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(act, *args)

        return call

    def _close(self) -> None:
        self._sender.close(CLOSE_SECONDS)
        self._receiver.close(CLOSE_SECONDS)

    # -- wishes of the conductor -------------------------------------------------------------------

    def submit(self, lane: Lane) -> None:
        suspects = [run for run in lane.runs if self._holding.is_suspect(lane.execution, run.node)]
        for run in suspects:
            self._suspects.append(_part(lane, [run]))
        rest = [run for run in lane.runs if run not in suspects] if suspects else lane.runs
        if rest:
            self._go(_part(lane, rest) if suspects else lane)
        if suspects:
            self._next_suspect()

    def adopted(self, execution: str, epoch: int) -> None:
        """It was taken over: workers may be busy with what its last conductor began. On the loop."""
        self._epochs.pop(execution, None)
        self._epochs[execution] = epoch
        if len(self._epochs) > REMEMBERED:
            self._epochs.popitem(last=False)
        self._sender.put(("wishes", [self._leave(execution)]))

    def left(self, execution: str, over: bool) -> None:
        """It is over, or not ours any more. On the loop."""
        self._epochs.pop(execution, None)
        self._holding.forget(execution)
        if over and execution in self._strewn:
            self._sender.put(("wishes", [Wish("over", execution, [self._place])]))
        self._strewn.discard(execution)

    def _leave(self, execution: str) -> Wish:
        return Wish("leave", execution, [self._desk, str(self._epochs.get(execution, 1))])

    def _go(self, lane: Lane) -> Sent:
        self._count += 1
        number = f"{self._name}:{self._count}"
        queue = application.queue_name(str(lane.settings.labels.get("queue") or application.QUEUE))
        text = lane_text(number, self._desk, self._place, self._key, lane)
        self._sender.put(("lane", (number, queue, text)))
        return self._holding.send(number, lane, queue, self._clock())

    def _next_suspect(self) -> None:
        """The next that must go alone, when the one before it has shown that it does no harm."""
        if self._suspects and not self._holding.suspect_is_out(self._clock()):
            self._go(self._suspects.popleft()).alone = True

    def recall(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        wishes = []
        waiting = [run for lane in self._not_gone(execution, nodes) for run in lane.runs]
        if waiting:
            back = Returned(execution, [(run.node, run.attempt) for run in waiting])
            self._loop.call_soon(self._report, back)
        for sent, found in self._holding.of(execution, nodes):
            if sent.holder is not None:
                wishes.append(self._wished(sent, found, "return"))
                continue
            wishes.append(Wish("drop", sent.id, found))  # whoever takes it meanwhile knows of that, or will be told
            for node in found:
                outcome = endings.lost(sent, sent.open[node], "it was recalled on its way", charged=False)
                self._holding.close(sent, node, ended=False)
                self._loop.call_soon(self._report, outcome)
        if wishes:
            self._sender.put(("wishes", wishes))

    def cancel(self, execution: str, nodes: Sequence[str] | None = None) -> None:
        wishes = []
        for lane in self._not_gone(execution, nodes):
            for run in lane.runs:
                self._loop.call_soon(self._report, endings.cancelled(lane, run))
        for sent, found in self._holding.of(execution, nodes):
            if sent.holder is not None:
                wishes.append(self._wished(sent, found, "cancel"))
                continue
            wishes.append(Wish("drop", sent.id, found))
            for node in found:
                outcome = endings.cancelled(sent.lane, sent.open[node])
                self._holding.close(sent, node)
                self._loop.call_soon(self._report, outcome)
        if wishes:
            self._sender.put(("wishes", wishes))

    def _not_gone(self, execution: str, nodes: Sequence[str] | None) -> list[Lane]:
        """Suspects that wait here."""
        found = [
            lane
            for lane in self._suspects
            if lane.execution == execution and (nodes is None or lane.runs[0].node in nodes)
        ]
        for lane in found:
            self._suspects.remove(lane)
        return found

    def _wished(self, sent: Sent, nodes: Sequence[str], act: str) -> Wish:
        now = self._clock()
        for node in nodes:
            if act == "cancel" or node not in sent.wishes:
                sent.wishes[node] = act, now
        return Wish(act, sent.id, nodes)

    # -- what workers say --------------------------------------------------------------------------

    def committed(self, unwritten: Collection[str]) -> None:
        """Everything that was reported so far is durable, but for what is about these executions. On the loop."""
        self._owing.committed(unwritten)

    def _receive(self, message: Message) -> None:
        """On the receiver's thread."""
        try:
            text = text_in(message.body)
            self._seal.check(REPORTS + self._desk, text, message.headers.get("signature"))
            worker, number, words = reports_of(text)
        except (ForgedError, UnreadableError) as error:
            LOG.error("refused: %s", error)
            self._receiver.acknowledge(message)
            return
        try:
            self._loop.call_soon_threadsafe(self._hear, message, worker, number, words)
        except RuntimeError:
            LOG.debug("the conductor has ended; what it did not hear stays at its desk")

    def _hear(self, message: Message, worker: str, number: int, words: Sequence[Word]) -> None:
        if not self._holding.heard(worker, number, self._clock()):
            self._owing.heard((worker, number), message)
            return
        wishes: list[Wish] = []
        about = [self._take(worker, word, wishes) for word in words]
        self._owing.heard((worker, number), message, (execution for execution in about if execution is not None))
        if wishes:
            self._sender.put(("wishes", wishes))
        self._next_suspect()

    def _take(self, worker: str, word: Word, wishes: list[Wish]) -> str | None:
        """The execution of which something is to be journaled."""
        if isinstance(word, OfBodies):
            self.hosts.take(worker, word)
        elif type(word) is Taken:
            self._let(worker, word.lane, wishes)
        elif type(word) is Claim:
            # Its own holder asks when it did not hear that it may: what it holds it does not ask for.
            if self._let(worker, word.lane, wishes):
                wishes.append(Wish("grant", word.lane, None, worker))
        elif type(word) is Beat:
            self._take_beat(worker, word, wishes)
        elif type(word) is Misdirected:
            return self._take_misdirected(word, wishes)
        elif type(word) is Requeued:
            self._holding.requeued(word.lane, self._clock())
        elif type(word) is Left:
            self._sender.put(("ask", (word.execution, Wish("over", word.execution, [self._place], worker))))
        elif type(word) is Returned:
            back = [run for run in word.runs if self._given_back(worker, word.execution, *run)]
            if back:
                self._report(Returned(word.execution, back))
            return word.execution if back else None
        else:
            assert not isinstance(word, Taken | Claim | Beat | Misdirected | Requeued | Left | Returned)
            sent = self._holding.find(word.execution, word.node, word.attempt)
            if sent is None:
                return None
            if isinstance(word, SomeOutputs):
                sent.gives(worker, word)
                return None
            if type(word) is Outcome:
                if not sent.complete(worker, word):
                    why = "a part of what it gave was lost on the way"
                    word = endings.lost(sent, sent.open[word.node], why, charged=False)
                self._holding.close(sent, word.node, ended=word.status != "lost")
            else:
                sent.begun.add(word.node)
            self._report(word)
            return word.execution
        return None

    def _let(self, worker: str, number: str, wishes: list[Wish]) -> bool:
        """Whether a worker may have it; it may not have heard which of its runs were taken back on the way."""
        sent = self._holding.get(number)
        if sent is None or not self._holding.taken(worker, number):
            wishes.append(Wish("drop", number, None, worker))
            return False
        over = [run.node for run in sent.lane.runs if run.node not in sent.open]
        if over:
            wishes.append(Wish("drop", number, over, worker))
        return True

    def _take_misdirected(self, word: Misdirected, wishes: list[Wish]) -> str | None:
        """A worker knows another conductor of its execution. Where that is not so any more, it was not heard."""
        sent = self._holding.get(word.lane)
        if sent is None or sent.holder is not None:
            return None
        wishes.append(self._leave(sent.lane.execution))
        runs = [(run.node, run.attempt) for run in sent.open.values()]
        for node, _ in runs:
            self._holding.close(sent, node, ended=False)
        self._report(Returned(sent.lane.execution, runs))
        return sent.lane.execution

    def _given_back(self, worker: str, execution: str, node: str, attempt: int) -> bool:
        """Whether it was this worker's; what another one has runs on."""
        sent = self._holding.find(execution, node, attempt)
        if sent is None or sent.holder not in (None, worker):
            return False
        self._holding.close(sent, node, ended=False)
        return True

    def _take_beat(self, worker: str, beat: Beat, wishes: list[Wish]) -> None:
        strange, gone = self._holding.beat(worker, dict(beat.lanes))
        wishes += [Wish("drop", number, None, worker) for number in strange]
        self._bury(gone)
        now = self._clock()
        for number in beat.lanes:
            sent = self._holding.get(number)
            for node, (act, at) in list(sent.wishes.items()) if sent is not None else ():
                if sent is not None and now - at > AGAIN_SECONDS:
                    wishes.append(self._wished(sent, [node], act))

    def _bury(self, gone: Iterable[Gone]) -> None:
        for one in gone:
            if self._holding.find(one.sent.lane.execution, one.run.node, one.run.attempt) is not one.sent:
                continue
            self._holding.close(one.sent, one.run.node, ended=one.for_good)
            if one.sent.lane.settings.platform != "local":
                self._strewn.add(one.sent.lane.execution)
            self._report(
                endings.vanished(one) if one.for_good else endings.lost(one.sent, one.run, one.why, charged=one.charged)
            )

    # -- time --------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)
        now = self._clock()
        slept = now - self._ticked > TICK_SECONDS + LATE_SECONDS
        held_up = self._counted and self._owing.messages >= MANY_OWED
        self._ticked = now
        connected = self._receiver.connected_since
        if slept or held_up or connected != self._connected:
            self._connected = connected
            self._holding.begin_anew(now)
            self._hints.begin_anew()
            self.hosts.begin_anew(now)
        if connected is None:
            return
        self._bury(self._holding.silent(now))
        self.hosts.tick(now)
        self._next_suspect()
        self._hints.tick(now, self._holding.waiting(), alone=self.hosts.unanswered)
        overdue = self._holding.overdue(now)
        if overdue and now - self._looked > LOOK_SECONDS:
            self._looked = now
            self._sender.put(("look", sorted(overdue)))

    def _seen(self, empty: set[str]) -> None:
        gone = self._holding.vanished(empty, self._clock())
        self._hints.lost(one.sent.queue for one in gone)
        self._bury(gone)

    def _refused(self, number: str, error: Exception) -> None:
        """On the loop."""
        self.hosts.refused(number, error)
        sent = self._holding.get(number)
        for run in list(sent.open.values()) if sent is not None else ():
            assert sent is not None
            outcome = endings.unsendable(sent, run, error)
            self._holding.close(sent, run.node)
            self._report(outcome)
        self._next_suspect()


def _part(lane: Lane, runs: Sequence[NodeRun]) -> Lane:
    return Lane(lane.number, lane.execution, lane.code, lane.settings, runs, lane.secrets)
