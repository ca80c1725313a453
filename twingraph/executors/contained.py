"""One node, in a place of its own: the process that runs the author's code there. Python 3.8, standard library only.

What it gives is left in one folder; `first_process` says what is where.
What is to be known while it runs is said in frames (see `frames`):

- ["b", time, folder]: user code has begun, in this folder
- ["l", [[time, level, stream, message], ...]]: what was printed or logged
- ["i", start, [text, ...]]: items of a generator, from index `start` on
- ["w", [[index, [time, level, stream, message]], ...]]: by the first process, where the run's ended without an answer:
  what `last_words` has kept of it
- ["a", answer]: how it ended, where that is small; it is left in the folder too
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import Any, Sequence

from twingraph.core.codec_base import dumps, loads
from twingraph.executors import capture, runner
from twingraph.executors.context import PROGRESS_SECONDS, Current, RealClock, progress_line, running
from twingraph.executors.folder_blobs import FolderBlobs
from twingraph.executors.frames import FrameWriter
from twingraph.executors.last_words import LastWords

FLUSH_SECONDS = 0.1
# An answer of so many bytes is said.
SMALL = 65536

# User code may put others in their place.
_getpid, _exit, _open, _replace = os.getpid, os._exit, open, os.replace


class Contained:
    """The run, as user code reaches it through `twingraph.current()`, and as it is told outside."""

    def __init__(
        self, payload: str, bundle: str, folder: str, frames: FrameWriter, begun: int, words: LastWords
    ) -> None:
        """`payload` and `bundle` are JSON: the run, and the code."""
        self._given = given = loads(payload)
        self._bundle = bundle
        self._folder = folder
        self._answer_path = os.path.join(folder, "out", "answer")
        self._frames = frames
        self._begun = begun
        self._blobs = FolderBlobs(os.path.join(folder, "blobs"), os.path.join(folder, "out", "blobs"))
        self._flushing: threading.Lock | None = None  # see `worker`
        self._progress_at = 0.0
        self._progress_left: Any = None
        self.mask: Any = None
        self.handing: Any = None
        self._words = words
        self.records = capture.Records(words)
        self.out = capture.Stream("stdout", "info", 1, self.records, self.written)
        self.err = capture.Stream("stderr", "warning", 2, self.records, self.written)
        if given["secrets"]:
            from twingraph.executors.mask import Flow, Mask

            self.records.mask = self.mask = mask = Mask(given["secrets"])
            self.out.flow, self.err.flow = Flow(mask.text), Flow(mask.text)

    # -- what user code reaches ------------------------------------------------------------------

    def add(self, level: str, stream: str, message: str) -> None:
        self.records.add(level, stream, message)

    def written(self) -> None:
        """Something waits to be said: a thread says it within 0.1 s if the run is still going on by then."""
        if self._flushing is None:
            self._flushing = threading.Lock()
            self._flushing.acquire()
            threading.Thread(target=self._flush_often, name="twingraph-log", daemon=True).start()
        if self._flushing.locked():
            with suppress(RuntimeError):  # another thread was faster
                self._flushing.release()

    def _flush_often(self) -> None:
        assert self._flushing is not None
        while True:
            self._flushing.acquire()
            self.flush()
            RealClock.sleep(FLUSH_SECONDS)

    def flush(self) -> None:
        with self.records.sending:
            for portion in capture.portions(self.records.take()[1]):
                self._frames.send(dumps(["l", portion]))

    def progress(self, done: float, total: float | None) -> None:
        """A line at most every PROGRESS_SECONDS; the last call is told in any case."""
        self._progress_left = (done, total)
        if RealClock.steady() - self._progress_at >= PROGRESS_SECONDS:
            self._tell_progress()
            self.written()

    def _tell_progress(self) -> None:
        (done, total), self._progress_left = self._progress_left, None
        self._progress_at = RealClock.steady()
        self.records.add("info", "progress", progress_line(done, total))

    def artifact(self, name: str, data: bytes) -> str:
        name = name if self.mask is None else self.mask(str(name))
        digest = self._blobs.put(data)
        self.records.keep("info", "artifact", f"{name} {digest} {len(data)} bytes")
        self.written()
        return digest

    # -- values and code -------------------------------------------------------------------------

    def decode(self, text: str) -> Any:
        if '"$"' not in text:
            return loads(text)
        from twingraph.core.codec import decode

        return decode(text, blobs=self._blobs)

    def encode(self, value: Any, path: str) -> Any:
        if self.mask is not None:
            from twingraph.executors.masked_values import MaskedEncoder

            return MaskedEncoder(self.mask, self._blobs, None)(value, path)
        from twingraph.core.codec import encode

        return encode(value, blobs=self._blobs, path=path)

    def _find(self) -> Any:
        from twingraph.executors.slice_loader import load

        try:
            loaded = load(loads(self._bundle.strip()), os.path.join(self._folder, "project"))
            entry = loaded.entries.get(self._given["entry"], {})
            if entry.get("reads_file"):
                raise ImportError(
                    "it uses __file__, and its file is not here: take ship='bundle', which sends its project"
                )
        except (OSError, ValueError, RecursionError, ImportError) as error:
            raise runner.CodeUnavailableError("the recorded code cannot be loaded: " + str(error)) from None
        try:
            return loaded.get(self._given["entry"])
        except ImportError as error:
            if type(error).__name__ != "NotThereError":
                raise
            raise runner.CodeUnavailableError(str(error)) from None

    # -- the run ---------------------------------------------------------------------------------

    def carry_out(self) -> None:
        given = self._given
        pid = _getpid()
        current = Current(given["execution"], given["node"], given["attempt"], self)
        running.set(current)
        os.environ.update(given["environment"])
        os.environ.update(
            TWINGRAPH_EXECUTION_ID=current.execution_id,
            TWINGRAPH_NODE_ID=current.node_id,
            TWINGRAPH_ATTEMPT=str(current.attempt),
            TWINGRAPH_IDEMPOTENCY_KEY=current.idempotency_key,
        )
        sys.stdout, sys.stderr = self.out, self.err
        runner.disarm()
        capture.on_import_of_logging(lambda logging: capture.install_handler(logging, self, self.written))
        os.register_at_fork(after_in_child=self._in_child)
        started = RealClock.now()
        limit = given["timeout"]
        os.write(self._begun, b" " if limit is None else repr(limit).encode("ascii"))
        os.close(self._begun)
        self._frames.send(dumps(["b", started, self._folder]))
        try:
            answer = self._answer()
        except BaseException as error:  # of a trace function or a signal, in the moment between
            answer = runner.Answer("failed", error=runner.describe(error, "user_error", mask=self.mask))
        if _getpid() != pid:  # a forked child that came back: it has no voice here
            _exit(0)
        self._leave(answer, started)
        self.out.finish()
        self.err.finish()
        if self._progress_left is not None:
            self._tell_progress()
        self.flush()

    def _answer(self) -> runner.Answer:
        given = self._given
        config = self.decode(given["config"]) if given["config"] else {}
        if given["generator"]:
            from twingraph.executors.handing import Handing

            self.handing = Handing(self.encode, self._send_items, self._blobs)
        work = runner.Work(self._find, given["args"], self.decode, self.encode, config, self.handing, self.mask)
        try:
            return runner.run_node(work)
        finally:
            if self.handing is not None:
                self.handing.finish()

    def _send_items(self, start: int, texts: Sequence[str]) -> None:
        self._frames.send(dumps(["i", start, list(texts)]))

    def _leave(self, answer: runner.Answer, started: float) -> None:
        """The answer, whole or not at all."""
        head = {
            "status": answer.status,
            "shape": answer.shape,
            "outputs": answer.outputs,
            "error": answer.error,
            "started": started,
            "ended": RealClock.now(),
        }
        path = self._answer_path
        data = "\n".join([dumps(head), *answer.texts]).encode("utf-8", "replace")
        with _open(path + ".new", "wb") as file:
            file.write(data)
        _replace(path + ".new", path)
        if len(data) <= SMALL:
            self._frames.send(dumps(["a", data.decode("utf-8")]))

    def _in_child(self) -> None:
        self._frames.in_child()
        self._words.in_child()
        self.records.lock, self.records.sending = threading.RLock(), threading.RLock()
        self.out.direct = self.err.direct = True
        if self.handing is not None:
            self.handing.in_child()
