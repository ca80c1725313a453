"""One process that runs bodies, as the loop of whoever started it sees it: started aside, spoken to in lines, heard,
buried. A conductor starts them on its own machine, and workers on theirs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from twingraph.core.recordclass import recordclass
from twingraph.dispatch import spawner
from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.embedded.capturing import CapturedFile
from twingraph.dispatch.embedded.protocol import GARBLED

MAIN = "twingraph.sdk.body.process"
_READ = 1 << 20
# What is heard at once: some milliseconds of work.
_HEAR = 1 << 16
# How long a process is not heard when far more was said than could be taken in.
_ROOM_SECONDS = 0.005


class Spoken(Protocol):
    """A process that runs bodies, wherever it is. On the loop."""

    @property
    def pid(self) -> int | None:
        """Where it is one of this machine."""

    def say(self, message: Any) -> None:
        """In order, and whatever becomes of it."""

    def stop(self) -> None:
        """It is not needed any more, and nobody is told of its end."""


@recordclass(kw_only=False)
class Owner:
    """Who has such a process. `heard` takes each message; `gone` hears once why it died, and `stranded` in its place
    where that was not its own doing. While `crowded()` it is not listened to. All on the loop."""

    heard: Callable[[list[Any]], None]
    gone: Callable[[str], None]
    stranded: Callable[[str], None]
    crowded: Callable[[], bool]


# Gives a process for this code; the function starts one on this machine.
Elsewhere = Callable[[CodeRef, Callable[[], Spoken], Owner], Spoken]


def hello_of(code: CodeRef, blobs_path: str, secret: bytes | None) -> dict[str, Any]:
    """The first message: what is served, and from where."""
    return {
        "blobs": blobs_path,
        "secret": secret.hex() if secret is not None else None,
        "bodies": code.body_path,
        "components": code.bundle_path,
        "sys_path": list(code.sys_path),
    }


class HostProcess:
    """Belongs to the loop, but for `stop`. `heard(read(line))` for each line; `gone(why)` once, unless it was stopped;
    while `crowded()` it is not listened to. One that says what cannot be read is ended."""

    def __init__(
        self,
        code: CodeRef,
        hello: dict[str, Any],
        heard: Callable[[Any], None],
        gone: Callable[[str], None],
        crowded: Callable[[], bool],
        read: Callable[[bytes], Any] = json.loads,
    ) -> None:
        self._read = read
        self.pid: int | None = None
        self._crowded = crowded
        self._heard, self._gone = heard, gone
        self._loop = asyncio.get_running_loop()
        self._started: spawner.Started | None = None
        self._pidfd: int | None = None
        self._over = self._garbled = False
        self.is_taken = False  # whether it was ended by SIGTERM or SIGKILL from outside: nothing of its own doing
        self._outgoing = bytearray()
        self._incoming = b""
        self.say(hello)
        spawner.in_spawner_thread(partial(self._start, code.interpreter, code.working_dir))

    # -- starting ----------------------------------------------------------------------------------

    def _start(self, interpreter: str, folder: str) -> None:
        """In the spawner's thread."""
        started: spawner.Started | None = None
        try:
            started = spawner.spawn(interpreter, folder, MAIN)
            _widen(started.incoming)
            self._loop.call_soon_threadsafe(self._attach, started)
        except OSError as error:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._bury, f"it cannot be started: {error}")
        except RuntimeError:
            if started is not None:
                _end(started)

    def _attach(self, started: spawner.Started) -> None:
        if self._over:
            _end(started)
            return
        self._started, self.pid = started, started.process.pid
        self._loop.add_reader(started.outgoing, self._readable)
        with contextlib.suppress(OSError, AttributeError):  # an old kernel: the end of the pipe tells
            self._pidfd = os.pidfd_open(self.pid)
            self._loop.add_reader(self._pidfd, self._ended)
        self._loop.add_writer(started.incoming, self._writable)

    # -- speaking ----------------------------------------------------------------------------------

    def say(self, message: Any) -> None:
        if self._over:
            return
        if not self._outgoing and self._started is not None:
            self._loop.add_writer(self._started.incoming, self._writable)
        self._outgoing += json.dumps(message, separators=(",", ":")).encode() + b"\n"

    def _writable(self) -> None:
        assert self._started is not None
        try:
            del self._outgoing[: os.write(self._started.incoming, self._outgoing[:_READ])]
        except BlockingIOError:
            return
        except OSError:  # it is dying; its exit is told apart
            self._outgoing.clear()
        if not self._outgoing:
            self._loop.remove_writer(self._started.incoming)

    # -- hearing -----------------------------------------------------------------------------------

    def _readable(self) -> None:
        """One chunk at a time, so that others have their turns; none while the conductor has not heard what came
        before: then the pipe fills, and the bodies wait."""
        assert self._started is not None
        outgoing = self._started.outgoing
        if self._crowded():
            self._loop.remove_reader(outgoing)
            self._loop.call_later(_ROOM_SECONDS, self._listen_again)
            return
        try:
            data = os.read(outgoing, _HEAR)
        except BlockingIOError:
            return
        if data:
            self._take(data)
            return
        self._loop.remove_reader(outgoing)
        self._kill()  # what cannot be heard any more shall not go on
        self._ended()

    def _listen_again(self) -> None:
        if self._started is not None and not self._over:
            self._loop.add_reader(self._started.outgoing, self._readable)

    def _take(self, data: bytes) -> None:
        *lines, self._incoming = (self._incoming + data).split(b"\n")
        for line in lines:
            if self._over:
                return
            try:
                self._heard(self._read(line))
            except GARBLED:  # the author's code wrote to our descriptor
                self._garbled = True
                self._kill()
                return

    def _ended(self) -> None:
        if self._over or self._started is None:
            return
        code = self._started.process.poll()
        if code is None:
            self._loop.call_later(0.002, self._ended)
            return
        self._loop.remove_reader(self._started.outgoing)
        with contextlib.suppress(OSError):
            self._drain()
        self.is_taken = code in (-signal.SIGTERM, -signal.SIGKILL) and not self._garbled
        self._bury(_why(code) + _last_words(self._started))

    def _drain(self) -> None:
        """What it said before it died."""
        assert self._started is not None
        while data := os.read(self._started.outgoing, _READ):
            self._take(data)

    # -- ending ------------------------------------------------------------------------------------

    def _bury(self, why: str) -> None:
        if not self._over:
            self.stop()
            self._gone(why)

    def _kill(self) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """At once; nobody is told. On the loop, or once that has ended."""
        if self._over:
            return
        self._over = True
        started, self._started = self._started, None
        if started is None:
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(started.outgoing)
            self._loop.remove_writer(started.incoming)
            if self._pidfd is not None:
                self._loop.remove_reader(self._pidfd)
        if self._pidfd is not None:
            os.close(self._pidfd)
        _end(started)


def _widen(descriptor: int) -> None:
    """Let the pipe hold several pages of a history: else each is written in many turns of the loop, and read in as many
    turns of the threads there."""
    with contextlib.suppress(OSError, AttributeError, ImportError):  # more than one may have; another kind of machine
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _READ)


def _end(started: spawner.Started) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(started.process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        started.process.wait(5)
    for descriptor in (started.shared, *started.captured):
        os.close(descriptor)
    for descriptor in (started.incoming, started.outgoing, started.life):
        spawner.close(descriptor)


def _why(code: int) -> str:
    if code >= 0:
        return f"it ended itself with exit code {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"


def _last_words(started: spawner.Started) -> str:
    words = CapturedFile(started.captured[1]).tail().strip()
    return f"\n{words}" if words else ""
