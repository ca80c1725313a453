"""A worker process of the pool: takes lanes from one pipe, answers on another. Python 3.8 syntax.

Messages are lines. In: a lane's head `{...}`, then per run `[number, node, attempt, [names]]` and one line for each
argument. The head of a lane of asynchronous runs says in "strand" which block of the marks is the lane's: such lanes go
beside each other, and `{"stop": [numbers]}` between them cancels. Out: `["o", number, status, ...]` and one line for
each output, written before the next run begins, so that the next run's crash loses nothing. `["l", number, records]`
and `["r", [numbers]]` stand between, and before the "o" of a generator, where the lane's head says "generator",
`["i", number, start, count, began]` and one line for each item. Of very many outputs all but the last come before the
"o" too, some at a time, each as `["p", number, outputs]` and one line for each. `["x"]`: this process carries out no
further run.
What the lane's head names as "secrets" must not be said.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import os
import sys
import threading
from typing import Any, Callable, Sequence

from twingraph.core.codec_base import CodecError, dumps, loads, text_of
from twingraph.executors import capture, runner
from twingraph.executors.context import PROGRESS_SECONDS, Current, RealClock, loading, progress_line, running
from twingraph.executors.last_words import LastWords
from twingraph.executors.marks import Marks
from twingraph.executors.surroundings import LIMITS, STARTS, Below, ProcessState, Surroundings, Usage

FLUSH_SECONDS = 0.1
OUTPUTS_AT_ONCE = 500
_NOTED = STARTS | LIMITS

# User code may put others in their place.
_write, _close, _getpid, _exit = os.write, os.close, os.getpid, os._exit


class Channel:
    """The way out. Whole messages only; silent in a forked child."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self.mute = False

    def send(self, text: str) -> None:
        if self.mute:
            return
        data = text.encode("utf-8", "replace")
        with self._lock:
            sent = _write(self._descriptor, data)
            while sent < len(data):
                sent += _write(self._descriptor, memoryview(data)[sent:])

    def close_in_child(self, *others: int) -> None:
        """After a fork. In a child of a child nothing is closed: by these numbers it may have files of its own."""
        if self.mute:
            return
        self.mute = True
        for descriptor in (self._descriptor, *others):
            with contextlib.suppress(OSError):  # user code closed it
                _close(descriptor)


class Worker:
    def __init__(self, given: Any, reader: Any, channel: Channel, marks: Marks) -> None:
        self.reader = reader
        self.channel = channel
        self.marks = marks
        self.bundle_path = given["bundle"]
        self.blobs_path = given["blobs"]
        self.projects = given.get("projects", "")
        self.secret = bytes.fromhex(given["secret"]) if given["secret"] else None
        self.pid = _getpid()
        self.words = LastWords(marks.words())
        self.records = capture.Records(self.words)
        # A plain lock, released to wake who sends. An event has a lock inside that stays held where a handler of a
        # signal raises in the midst of `set`, and in a forked child.
        self.flushing: threading.Lock | None = None
        self.progress_at = 0.0
        self.progress_left: Any = None
        self.out = capture.Stream("stdout", "info", 1, self.records, self.written)
        self.err = capture.Stream("stderr", "warning", 2, self.records, self.written)
        self.handing: Any = None
        self.multiplexer: Any = None
        self._loaded: Any = None
        self._found: dict[str, Any] = {}
        self._blobs: Any = None
        self.surroundings = Surroundings()
        self.state: ProcessState  # once it stands as runs find it
        self.usage = Usage()
        self.below = Below()
        self.mask: Any = None  # of the secrets of this lane
        self._mask: Any = None
        self._masked: Any = None  # the values that it is for: lanes that follow each other mostly have the same
        self.known: set[str] = set()  # of all that were ever given to this process: a leaked thread may still say them

    # -- what user code reaches ------------------------------------------------------------------

    def written(self) -> None:
        """Something waits to be sent: a thread sends it within 0.1 s if the run is still going on by then."""
        if self.flushing is None:
            self.flushing = threading.Lock()
            self.flushing.acquire()
            threading.Thread(target=self._flush_often, name="twingraph-log", daemon=True).start()
        if self.flushing.locked():
            with contextlib.suppress(RuntimeError):  # another thread was faster
                self.flushing.release()

    def _flush_often(self) -> None:
        assert self.flushing is not None
        while True:
            self.flushing.acquire()
            RealClock.sleep(FLUSH_SECONDS)
            self.flush()

    def flush(self) -> None:
        with self.records.sending:
            number, taken = self.records.take()
            for portion in capture.portions(taken):
                self.channel.send(dumps(["l", number, portion]) + "\n")
        if self.multiplexer is not None:
            self.multiplexer.flush()

    def add(self, level: str, stream: str, message: str) -> None:
        """A record of the run around the caller."""
        run = None if self.multiplexer is None else self.multiplexer.speaker()
        (self.records if run is None else run.records).add(level, stream, message)

    def progress(self, done: float, total: float | None) -> None:
        """A line at most every PROGRESS_SECONDS; the last call of a run is told in any case."""
        self.progress_left = (done, total)
        if RealClock.steady() - self.progress_at >= PROGRESS_SECONDS:
            self._finish_progress()
            self.written()

    def _finish_progress(self) -> None:
        (done, total), self.progress_left = self.progress_left, None
        self.progress_at = RealClock.steady()
        self.records.add("info", "progress", progress_line(done, total))

    def artifact(self, name: str, data: bytes) -> str:
        name = name if self.mask is None else self.mask(str(name))
        digest = str(self.blobs().put(data))
        self.records.keep("info", "artifact", f"{name} {digest} {len(data)} bytes")
        self.written()
        return digest

    # -- values and code -------------------------------------------------------------------------

    def blobs(self) -> Any:
        if self._blobs is None:
            from twingraph.store.blobs.catalog import open_blobs

            self._blobs = open_blobs(self.blobs_path)
        return self._blobs

    def is_asking_blobs(self) -> bool:
        return self._blobs is not None and bool(self._blobs.is_asking())

    def decode(self, text: str) -> Any:
        if '"$"' not in text:
            return loads(text)
        from twingraph.core.codec import decode

        return decode(text, blobs=self.blobs(), classes=None, key=self.secret, pickle=self.secret is not None)

    def encode(self, value: Any, path: str) -> Any:
        if self.mask is not None:
            from twingraph.executors.masked_values import MaskedEncoder

            return MaskedEncoder(self.mask, _Later(self), self.secret)(value, path)
        from twingraph.core.codec import encode

        return encode(value, blobs=_Later(self), key=self.secret, pickle=self.secret is not None, path=path)

    def found(self, entry: str) -> Any:
        return self._found.get(entry) or self._find(entry)

    def _find(self, entry: str) -> Any:
        before, files = self.state.now(), self.below.files()
        loading.append(entry)
        try:
            found = self._found[entry] = self._load().get(entry)
        except ImportError as error:
            if type(error).__name__ != "NotThereError":
                raise
            raise runner.CodeUnavailableError(str(error)) from None
        finally:
            loading.pop()
            self.state.learn(before)
            self.below.learn(files)
        return found

    def _load(self) -> Any:
        if self._loaded is None:
            from twingraph.executors.slice_loader import load

            try:
                with open(self.bundle_path, encoding="utf-8") as file:
                    self._loaded = load(loads(file.read().strip()), self.projects)
            except (OSError, ValueError, RecursionError, CodecError, ImportError) as error:
                raise runner.CodeUnavailableError(f"the recorded code cannot be loaded: {error}") from None
        return self._loaded

    # -- the loop --------------------------------------------------------------------------------

    def serve(self) -> None:
        readline = self.reader.readline
        line = readline()
        while line:
            lane = loads(text_of(line))
            if "strand" in lane:
                line = self._multiplexed(line)
                continue
            perform = self._performer(lane)
            self._learn_secrets(lane.get("secrets"))
            for _ in range(lane["n"]):
                head = readline()
                if not head:
                    return
                number, node, attempt, names = loads(text_of(head))
                arguments = [(name, text_of(readline())) for name in names]
                self._carry_out(lane, perform, number, node, attempt, arguments)
            self.usage.cpu()  # what is used while nothing is to be done is nobody's
            line = readline()

    def _multiplexed(self, line: bytes) -> Any:
        if self.multiplexer is None:
            from twingraph.executors.multiplex import Multiplexer

            self.multiplexer = Multiplexer(self)
        self._learn_secrets(None)  # a lane with secrets goes alone
        return self.multiplexer.serve(line)

    def _learn_secrets(self, values: Any) -> None:
        """What must not be said from now on. Values of a lane are hidden in its outputs too."""
        if not values:
            self.mask = None
            return
        from twingraph.executors.mask import Flow, Mask

        if self._masked != values:
            self._mask, self._masked = Mask(values), values
        self.mask = self._mask
        if not self.known.issuperset(values):
            self.known.update(values)
            self.records.mask = mask = Mask(self.known)
            self.out.flow, self.err.flow = Flow(mask.text), Flow(mask.text)

    def _performer(self, lane: Any) -> Callable[[Any], runner.Answer]:
        """What is done for each run of a lane, given its arguments."""
        entry, config = lane["entry"], lane["config"]
        if entry[:8] == "builtin:":
            from twingraph.executors.builtins import run_builtin

            return lambda arguments: run_builtin(entry[8:], arguments, self.decode, self.encode, self.blobs)

        def find() -> Any:
            return self.found(entry)

        put_back = self.state.put_back
        if lane.get("generator"):
            return lambda arguments: self._hand_over(find, arguments, config)
        return lambda arguments: runner.run_node(
            runner.Work(find, arguments, self.decode, self.encode, config, None, self.mask, put_back)
        )

    def _hand_over(self, find: Any, arguments: Any, config: Any) -> runner.Answer:
        """Run a node whose items are sent as they come."""
        self.handing = self.hands_over(self.records.number, self.marks.at)
        try:
            work = runner.Work(
                find, arguments, self.decode, self.encode, config, self.handing, self.mask, self.state.put_back
            )
            return runner.run_node(work)
        finally:
            self.handing.finish()
            self.handing = None

    def hands_over(self, number: int, began: float) -> Any:
        from twingraph.executors.handing import Handing

        def send(start: int, texts: Sequence[str]) -> None:
            with contextlib.suppress(OSError):  # the outcome's message will meet the same and tell
                head = dumps(["i", number, start, len(texts), began])
                self.channel.send("\n".join([head, *texts, ""]))

        return Handing(self.encode, send, _Later(self))

    def _carry_out(self, lane: Any, perform: Any, number: int, node: str, attempt: int, arguments: Any) -> None:
        started = RealClock.now()
        if self.state.is_spent or not self.marks.begin(number, started):
            self.channel.send(f'["r",[{number}]]\n')
            return
        self.records.begin(number)
        current = Current(lane["execution"], node, attempt, self)
        running.set(current)
        sys.stdout, sys.stderr = self.out, self.err
        try:
            self.surroundings.enter(current.execution_id, node, attempt, current.idempotency_key, lane["environment"])
            answer = perform(arguments)
        except BaseException as error:  # of a trace function or a signal, in the moment between
            self.state.put_back()
            answer = runner.Answer("failed", error=runner.describe(error, "user_error"))
        if _getpid() != self.pid:  # a forked child that came back: it has no voice here
            _exit(0)
        self.leave()
        self.out.finish()
        self.err.finish()
        if self.progress_left is not None:
            self._finish_progress()
        if self.flushing is not None or self.records.waiting:
            self.flush()
        self.answer(number, started, answer, self.usage.cpu())
        self.below.put_back()

    def leave(self) -> None:
        """After a run, or the last of those that went beside each other, and what it changed is put back."""
        self.surroundings.leave()
        if self.state.is_spent:
            self.channel.send('["x"]\n')

    def answer(self, number: int, started: float, answer: runner.Answer, cpu: float) -> None:
        ended = RealClock.now()
        status, shape, outputs, texts, error = answer
        while len(outputs) > OUTPUTS_AT_ONCE:  # whoever hears it must not be kept for long
            part, outputs = outputs[:OUTPUTS_AT_ONCE], outputs[OUTPUTS_AT_ONCE:]
            self.channel.send("\n".join([dumps(["p", number, part]), *texts[:OUTPUTS_AT_ONCE], ""]))
            texts = texts[OUTPUTS_AT_ONCE:]
        head = ["o", number, status, started, ended, cpu, self.usage.memory(ended)]
        head += [shape, outputs, self.below.written(), error]
        self.channel.send("\n".join([dumps(head), *texts, ""]))


class _Later:
    """The blob store, opened when a value first needs it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worker.blobs(), name)


def die_with_parent(descriptor: int) -> None:
    """The kernel kills this whole process group when the other end of the pipe closes, whatever user code does."""
    import fcntl

    set_signal = getattr(fcntl, "F_SETSIG", 10)
    if os.uname().sysname == "Linux":
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgid(0))
        fcntl.fcntl(descriptor, set_signal, int(_signal.SIGKILL))
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | fcntl.FASYNC)
        os.set_blocking(descriptor, False)
        try:
            gone = os.read(descriptor, 1) == b""
        except BlockingIOError:
            gone = False
        if gone:  # it closed before the kernel was asked
            _exit(0)
        return
    threading.Thread(target=_wait_for_the_end, args=(descriptor,), daemon=True).start()


def _wait_for_the_end(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.killpg(0, _signal.SIGKILL)


def main(incoming: int, outgoing: int, life: int, shared: int) -> None:
    die_with_parent(life)
    import faulthandler

    faulthandler.enable(2)
    marks = Marks(shared)
    os.close(shared)  # so that nobody writes to it by number
    reader = os.fdopen(incoming, "rb", 1 << 18)
    channel = Channel(outgoing)
    for descriptor in (incoming, outgoing, life):
        os.set_inheritable(descriptor, False)
    given = loads(text_of(reader.readline()))
    worker = Worker(given, reader, channel, marks)
    sys.path[:] = given["sys_path"] or sys.path
    sys.stdout, sys.stderr = worker.out, worker.err
    runner.disarm()
    worker.state = state = ProcessState()

    def note(event: str, arguments: Any) -> None:
        if event in _NOTED:
            if event in LIMITS:
                state.note_limit(event, arguments)
            else:
                marks.note_child()

    def logging_is_there(logging: Any) -> None:
        capture.install_handler(logging, worker, worker.written, worker.is_asking_blobs)
        state.watch_logging(logging)

    sys.addaudithook(note)
    capture.on_import_of_logging(logging_is_there)

    def in_child() -> None:
        channel.close_in_child(incoming)
        worker.words.in_child()
        worker.records.lock, worker.records.sending = threading.RLock(), threading.RLock()
        worker.out.direct = worker.err.direct = True
        if worker.handing is not None:
            worker.handing.in_child()
        if worker.multiplexer is not None:
            worker.multiplexer.in_child()

    os.register_at_fork(after_in_child=in_child)
    channel.send('["h"]\n')
    try:
        worker.serve()
    except OSError:  # user code closed what is not its own; nothing more can be said or heard
        marks.cut_off()
        _exit(1)
    except BaseException:  # a signal between two runs, or a module of ours that user code took apart
        import traceback

        _write(2, traceback.format_exc().encode("utf-8", "replace"))
        _exit(1)
    finally:
        _exit(0)  # leaked threads of user code shall not keep it alive
