"""A worker process of the pool: takes lanes from one pipe, answers on another. Python 3.8 syntax.

Messages are lines. In: a lane's head `{...}`, then per run `[number, node, attempt, [names]]` and one line for each
argument. Out: `["o", number, status, ...]` and one line for each output, written before the next run begins, so that
the next run's crash loses nothing. `["l", number, records]`, `["p", ...]` and `["r", [numbers]]` stand between.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import os
import resource
import sys
import threading
import time
from typing import Any

from twingraph.core.codec_base import dumps, loads
from twingraph.executors import capture, runner
from twingraph.executors.context import Current, loading, running
from twingraph.executors.marks import Marks

FLUSH_SECONDS = 0.1
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Channel:
    """The way out. Whole messages only; silent in a forked child."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self.mute = False

    def send(self, text: str) -> None:
        if self.mute:
            return
        data = memoryview(text.encode("utf-8", "replace"))
        with self._lock:
            while data:
                data = data[os.write(self._descriptor, data) :]

    def close_in_child(self) -> None:
        self.mute = True
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


class Worker:
    def __init__(self, given: Any, reader: Any, channel: Channel, marks: Marks) -> None:
        self.reader = reader
        self.channel = channel
        self.marks = marks
        self.bundle_path = given["bundle"]
        self.blobs_path = given["blobs"]
        self.secret = bytes.fromhex(given["secret"]) if given["secret"] else None
        self.pid = os.getpid()
        self.number = 0
        self.records = capture.Records()
        self.flushing: threading.Event | None = None
        self.last_progress = 0.0
        self.out = capture.Stream("stdout", "info", 1, self.records, self.written)
        self.err = capture.Stream("stderr", "warning", 2, self.records, self.written)
        self._loaded: Any = None
        self._found: dict[str, Any] = {}
        self._blobs: Any = None
        self._sizes = [0, 0]
        self.environ = dict(os.environ)
        self.cwd = os.getcwd()
        self.raw: Any = None
        self._statm = os.open("/proc/self/statm", os.O_RDONLY) if os.path.exists("/proc/self/statm") else -1
        self._memory = (0.0, 0)

    # -- what user code reaches ------------------------------------------------------------------

    def written(self) -> None:
        """Something waits to be sent: a thread sends it within 0.1 s if the run is still going on by then."""
        if self.flushing is None:
            self.flushing = threading.Event()
            threading.Thread(target=self._flush_often, name="twingraph-log", daemon=True).start()
        self.flushing.set()

    def _flush_often(self) -> None:
        assert self.flushing is not None
        while True:
            self.flushing.wait()
            self.flushing.clear()
            time.sleep(FLUSH_SECONDS)
            self.flush()

    def flush(self) -> None:
        number, taken = self.number, self.records.take()
        if taken:
            self.channel.send(dumps(["l", number, taken]) + "\n")

    def progress(self, done: float, total: float | None) -> None:
        now = time.monotonic()
        if now - self.last_progress > FLUSH_SECONDS or done == total:
            self.last_progress = now
            self.channel.send(dumps(["p", self.number, done, total]) + "\n")

    def artifact(self, name: str, data: bytes) -> str:
        digest = str(self.blobs().put(data))
        self.records.add("info", "artifact", f"{name} {digest} {len(data)} bytes")
        self.written()
        return digest

    # -- values and code -------------------------------------------------------------------------

    def blobs(self) -> Any:
        if self._blobs is None:
            from pathlib import Path

            from twingraph.store.blobs.local import LocalBlobs

            self._blobs = LocalBlobs(Path(self.blobs_path))
        return self._blobs

    def decode(self, text: str) -> Any:
        if '"$"' not in text:
            return loads(text)
        from twingraph.core.codec import decode

        return decode(text, blobs=self.blobs(), classes=None, key=self.secret, pickle=self.secret is not None)

    def encode(self, value: Any, path: str) -> Any:
        from twingraph.core.codec import encode

        return encode(value, blobs=_Later(self), key=self.secret, pickle=self.secret is not None, path=path)

    def find(self, entry: str) -> Any:
        found = self._found.get(entry)
        if found is None:
            loading.append(entry)
            try:
                found = self._found[entry] = self._load().get(entry)
            finally:
                loading.pop()
        return found

    def _load(self) -> Any:
        if self._loaded is None:
            from twingraph.executors.slice_loader import load

            with open(self.bundle_path, encoding="utf-8") as file:
                self._loaded = load(loads(file.read().strip()))
        return self._loaded

    # -- the loop --------------------------------------------------------------------------------

    def serve(self) -> None:
        readline = self.reader.readline
        while True:
            line = readline()
            if not line:
                return
            lane = loads(line[:-1].decode("utf-8"))
            for _ in range(lane["n"]):
                head = readline()
                if not head:
                    return
                number, node, attempt, names = loads(head[:-1].decode("utf-8"))
                texts = [readline().decode("utf-8")[:-1] for _ in names]
                self._carry_out(lane, number, node, attempt, list(zip(names, texts)))

    def _carry_out(self, lane: Any, number: int, node: str, attempt: int, arguments: Any) -> None:
        started = time.time()
        if not self.marks.begin(number, started):
            self.channel.send(f'["r",[{number}]]\n')
            return
        self.number = number
        cpu = self._cpu()
        current = Current(lane["execution"], node, attempt, self)
        self._set_environment(lane, current)
        token = running.set(current)
        sys.stdout, sys.stderr = self.out, self.err
        entry = lane["entry"]
        if entry[:8] == "builtin:":
            from twingraph.executors.builtins import run_builtin

            answer = run_builtin(entry[8:], arguments, self.decode, self.encode, self.blobs)
        else:
            answer = runner.run_node(lambda: self.find(entry), arguments, self.decode, self.encode, lane["config"])
        if os.getpid() != self.pid:  # a forked child that came back: it has no voice here
            os._exit(0)
        running.reset(token)
        self.out.finish()
        self.err.finish()
        self._restore()
        if self.records.waiting:
            self.flush()
        self.records.total = 0
        self._answer(number, started, cpu, answer)

    def _answer(self, number: int, started: float, cpu: float, answer: Any) -> None:
        ended = time.time()
        head = ["o", number, answer.status, started, ended, self._cpu() - cpu, self._resident(ended)]
        head += [answer.shape, answer.outputs, self._written_below(), answer.error]
        lines = [dumps(head), *answer.texts, ""]
        self.channel.send("\n".join(lines))

    def _cpu(self) -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children[0] + children[1]

    def _resident(self, now: float) -> int:
        """Resident bytes, looked up at most every 5 ms."""
        if now - self._memory[0] > 0.005 and self._statm >= 0:
            try:
                self._memory = (now, int(os.pread(self._statm, 64, 0).split()[1]) * _PAGE)
            except OSError:  # user code closed it
                self._statm = -1
        return self._memory[1]

    def _written_below(self) -> Any:
        """The sizes of the two capture files, when they changed: C code or a child process wrote there."""
        try:
            sizes = [os.fstat(1).st_size, os.fstat(2).st_size]
        except OSError:
            return None
        if sizes == self._sizes:
            return None
        self._sizes = sizes
        return sizes

    # -- the world around a run ------------------------------------------------------------------

    def _set_environment(self, lane: Any, current: Current) -> None:
        """The own names stay between runs, so that afterwards one comparison tells whether anything changed."""
        own = {
            "TWINGRAPH_EXECUTION_ID": current.execution_id,
            "TWINGRAPH_NODE_ID": current.node_id,
            "TWINGRAPH_ATTEMPT": str(current.attempt),
            "TWINGRAPH_IDEMPOTENCY_KEY": current.idempotency_key,
        }
        for name, value in own.items():
            if self.environ.get(name) != value:
                os.environ[name] = self.environ[name] = value
        self.raw = dict(os.environ._data)  # type: ignore[attr-defined]
        for name, value in lane["environment"].items():
            os.environ[name] = str(value)

    def _restore(self) -> None:
        """Working directory, environment and alarms as they were. User code cannot leave them changed."""
        environ = os.environ
        if environ._data != self.raw:  # type: ignore[attr-defined]
            for name in set(environ) - set(self.environ):
                del environ[name]
            for name, value in self.environ.items():
                if environ.get(name) != value:
                    environ[name] = value
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        try:
            if os.getcwd() != self.cwd:
                os.chdir(self.cwd)
        except OSError:
            os.chdir(self.cwd if os.path.isdir(self.cwd) else "/")


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
            os._exit(0)
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
    reader = os.fdopen(incoming, "rb", 1 << 18)
    channel = Channel(outgoing)
    for descriptor in (incoming, outgoing, life, shared):
        os.set_inheritable(descriptor, False)
    given = loads(reader.readline()[:-1].decode("utf-8"))
    worker = Worker(given, reader, channel, marks)
    sys.path[:] = given["sys_path"] or sys.path
    sys.stdout, sys.stderr = worker.out, worker.err
    runner.disarm()
    capture.on_import_of_logging(lambda logging: capture.install_handler(logging, worker.records, worker.written))

    def in_child() -> None:
        channel.close_in_child()
        worker.out.direct = worker.err.direct = True
        os.close(incoming)

    os.register_at_fork(after_in_child=in_child)
    channel.send('["h"]\n')
    try:
        worker.serve()
    except OSError:  # user code closed what is not its own; nothing more can be said or heard
        marks.cut_off()
        os._exit(1)
    finally:
        os._exit(0)  # leaked threads of user code shall not keep it alive
