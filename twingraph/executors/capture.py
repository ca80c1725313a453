"""What user code prints and logs, as records (time, level, stream, message). Python 3.8, standard library only."""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import Any, Callable, Iterator, List, Tuple

from twingraph.executors.context import RealClock, running

_write = os.write  # user code may put another one in its place

Record = Tuple[float, str, str, str]

MAX_LINE = 65536
MAX_TOTAL = 8 * 1024 * 1024  # characters per attempt,
MAX_LINES = 20_000  # and lines: an empty one is a record like any other
# What is told at once: whoever hears it has others to hear.
_PORTION_LINES, _PORTION_CHARACTERS = 1_000, 65536
_MARK = " ...(goes on)"
BROKEN_OFF = "(more was written; the log of this attempt ends here, at its limit of 8 MiB or 20,000 lines)"


def pieces(line: str) -> List[str]:  # noqa: UP006
    """A line in parts of bearable size, each but the last with a mark that it goes on."""
    if len(line) <= MAX_LINE:
        return [line]
    parts = [line[start : start + MAX_LINE] for start in range(0, len(line), MAX_LINE)]
    return [part + _MARK for part in parts[:-1]] + parts[-1:]


def portions(records: List[Record]) -> Iterator[List[Record]]:  # noqa: UP006
    """The same in the same order, a bearable part at a time."""
    start = size = 0
    for at, record in enumerate(records):
        if at > start and (at - start >= _PORTION_LINES or size + len(record[3]) > _PORTION_CHARACTERS):
            yield records[start:at]
            start, size = at, 0
        size += len(record[3])
    if start < len(records):
        yield records[start:]


class Records:
    """The records of one run until they are sent. Bounded: after MAX_TOTAL or MAX_LINES only a note is kept.

    A thread sends while the run goes on, so all that belongs together changes under the lock: no record is lost, and
    none is told of another run.
    """

    def __init__(self, words: Any = None) -> None:
        """`words`: the `last_words.LastWords` of this process, where somebody will read them after its end."""
        self._words = words
        self.lock = threading.RLock()  # a signal's handler may print in the middle of a print
        self.sending = threading.RLock()  # from taking to having sent: what a thread has taken comes before the answer
        self.number = 0
        self.waiting: List[Record] = []  # noqa: UP006
        self._total = self._lines = 0
        self._taken = self._noted = 0  # of this run; of those that wait, how many stand in `words`
        self.mask: Any = None  # an `executors.mask.Mask` once the process was given secrets

    def begin(self, number: int) -> None:
        with self.lock:
            self.number = number
            self._total = self._lines = 0
            self._taken = self._noted = 0
            self._note()  # what a thread of an earlier run has said since is told of this one

    def add(self, level: str, stream: str, message: str) -> None:
        if self._total > MAX_TOTAL or self._lines > MAX_LINES:
            return
        now = RealClock.now()
        if self.mask is not None:
            message = self.mask(message)
        with self.lock:
            for piece in pieces(message):
                if self._total > MAX_TOTAL or self._lines > MAX_LINES:
                    return
                self._total += len(piece) + 16
                self._lines += 1
                if self._total > MAX_TOTAL or self._lines > MAX_LINES:
                    self._append((now, "warning", stream, BROKEN_OFF))
                else:
                    self._append((now, level, stream, piece))

    def keep(self, level: str, stream: str, message: str) -> None:
        """What others rely on, however much was said."""
        message = message if self.mask is None else self.mask(message)
        with self.lock:
            self._append((RealClock.now(), level, stream, message))

    def _append(self, record: Record) -> None:
        self.waiting.append(record)
        self._note()

    def _note(self) -> None:
        """Also those whose saying was ended in its midst, by a handler of a signal or where no deeper call is possible:
        they wait, so they count."""
        while self._words is not None:
            at = self._noted  # a handler may come anywhere here and note some: what is noted twice is read once
            if at >= len(self.waiting):
                return
            self._words.note(self.number, self._taken + at, self.waiting[at])
            self._noted = at + 1

    def add_unfinished(self, level: str, stream: str, text: str) -> None:
        """A line that may go on: told only if nothing more can be said. Under the lock."""
        if self._words is not None and self._total <= MAX_TOTAL and self._lines <= MAX_LINES:
            self._words.note_unfinished(self.number, level, stream, text if self.mask is None else self.mask(text))

    def take(self) -> Tuple[int, List[Record]]:  # noqa: UP006
        """The number of the run, and what it has said since the last call."""
        with self.lock:
            taken, self.waiting, self._noted = self.waiting, [], 0
            self._taken += len(taken)
            return self.number, taken


class Stream(io.TextIOBase):
    """Stands in for sys.stdout or sys.stderr. In a forked child it writes to the real descriptor."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, name: str, level: str, descriptor: int, records: Records, written: Callable[[], None]) -> None:
        self.name = name
        self._level = level
        self._descriptor = descriptor
        self._records = records
        self._written = written
        self._rest = ""
        self.direct = False
        self.flow: Any = None  # an `executors.mask.Flow` once the process was given secrets

    @property
    def buffer(self) -> Any:
        return io.FileIO(self._descriptor, "wb", closefd=False)

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Closing it would silence every later run."""

    def flush(self) -> None:
        with self._records.lock:
            if self._rest and not self.direct:
                self._records.add_unfinished(self._level, self.name, self._rest)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self.direct:
            _write(self._descriptor, text.encode("utf-8", "replace"))
            return len(text)
        with self._records.lock:  # two threads may write to it at once
            self._take(text if self.flow is None else self.flow.feed(text))
        return len(text)

    def _take(self, text: str) -> None:
        whole = self._rest + text
        if "\n" in text or len(whole) > MAX_LINE:
            lines = whole.split("\n")
            self._rest = lines.pop()
            if len(self._rest) > MAX_LINE:
                lines.append(self._rest[:MAX_LINE] + _MARK)
                self._rest = self._rest[MAX_LINE:]
            for line in lines:
                self._records.add(self._level, self.name, line)
            self._written()
        else:
            self._rest = whole

    def finish(self) -> None:
        """A last line without its end."""
        with self._records.lock:
            if self.flow is not None:
                self._take(self.flow.finish())
            if self._rest:
                rest, self._rest = self._rest, ""
                self._records.add(self._level, self.name, rest)


def on_import_of_logging(install: Callable[[Any], None]) -> None:
    """Call `install(logging)` as soon as somebody imports `logging`, which costs too much to do ahead."""
    if "logging" in sys.modules:
        install(sys.modules["logging"])
        return
    sys.meta_path.insert(0, _Watch(install))


class _Watch:
    def __init__(self, install: Callable[[Any], None]) -> None:
        self._install = install
        self.is_over = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        self.is_over = True
        from importlib.util import find_spec

        spec: Any = find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            self._install(module)

        spec.loader.exec_module = exec_module
        return spec


def install_handler(
    logging: Any, records: Any, written: Callable[[], None], is_ours: Callable[[], bool] = lambda: False
) -> None:
    """Everything from INFO on that reaches the root logger; level and logger are kept.

    Of the node's own logger, `current().logger`, also what is below INFO; that one needs no name in front. What is
    logged while `is_ours()` is of work of our own for the node, and not told as the node's.
    """

    class Handler(logging.Handler):  # type: ignore[misc]
        def emit(self, record: Any) -> None:
            if is_ours():
                return
            try:
                message = self.format(record)
            except Exception as error:
                message = f"{record.msg!r} (not formatted: {error})"
            run = running.get(None)
            own = record.name == "root" or (run is not None and record.name == run.node_id)
            records.add(record.levelname.lower(), "logging", message if own else f"{record.name}: {message}")
            written()

    root = logging.getLogger()
    root.addHandler(Handler())
    if root.level == logging.WARNING:
        root.setLevel(logging.INFO)
