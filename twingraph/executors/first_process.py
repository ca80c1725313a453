"""The first process of a container: it starts the node's, bounds it, outlives it and tells how it ended.

Python 3.8, standard library only. It is its own, because what user code does to its process (an exit, a segfault, all
memory used up) must not end the one that can tell. It is told what to do on its standard input (`one_file`, `parcel`);
the node's process reads its own part and says its own answer, so that no argument, output or secret of one run is ever
in the process that the next one is forked from. Of each run a folder holds

    blobs/          large parts of the arguments, by content hash
    out/answer      how the run ended: a line of JSON, then the outputs' texts, a line each
    out/ending      how its process ended, as JSON
    out/blobs/      large parts of the outputs

The last frame repeats the ending, and says whether there are blobs. An empty one stands on the other stream, so that
who listens knows when all is said.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any, Dict, Iterable, Optional

from twingraph.core.codec_base import dumps
from twingraph.executors.contained import Contained
from twingraph.executors.frames import FrameWriter
from twingraph.executors.last_words import SIZE as LAST_WORDS
from twingraph.executors.last_words import LastWords
from twingraph.executors.parcel import UNFED, Parts, Unfed

# Between asking a process to end and ending it.
GRACE_SECONDS = 1.0
_NO_FOLDER = 74
# User code may put others in their place.
_write, _exit = os.write, os._exit
_EVENTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
_PEAKS = ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")


class FirstProcess:
    def __init__(self, folder: str, token: str, idle: float) -> None:
        """With `idle` it carries out one run after another, until so many seconds pass without one."""
        self._idle = idle
        self._token = token
        self._frames = FrameWriter(os.dup(1), token)
        self._beside = FrameWriter(os.dup(2), token)
        self._root = _made(folder, token)
        self._count = 0
        self._woken = -1
        self._asked = False
        self._killed = 0

    def tell_kept(self, data: bytes) -> None:
        from binascii import b2a_base64

        self._frames.send(dumps(["k", b2a_base64(data, newline=False).decode("ascii")]))

    def serve(self) -> None:
        """Never returns."""
        self._listen()
        while self._is_wanted():
            self._count += 1
            ending = self._carried_out()
            if not self._idle or not ending["fed"]:  # what is left of its part is nobody's, least of all the next one's
                os._exit(ending["exit"] if ending["exit"] is not None else 128 + ending["signal"])
        os._exit(0)

    def _listen(self) -> None:
        """Before there is anything to end: the first process of a container does not hear what it has no ear for."""
        self._woken, waker = os.pipe()
        os.set_blocking(waker, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _ask(self, *_: Any) -> None:
        self._asked = True

    def _is_wanted(self) -> bool:
        """Waits for a run. The byte that announces it is all that this process reads of it."""
        until = time.monotonic() + self._idle
        while not self._asked:
            left = max(0.0, until - time.monotonic()) if self._idle else None
            heard = select.select([self._woken, 0], [], [], left)[0]
            if self._woken in heard:
                os.read(self._woken, 4096)
            if 0 in heard:
                found = os.read(0, 1)
                if not found and not self._count:
                    os._exit(UNFED)
                return bool(found)
            if left == 0.0:
                return False
        return False

    def _carried_out(self) -> Dict[str, Any]:  # noqa: UP006
        folder = os.path.join(self._root, str(self._count))
        self._killed = _oom_kills()
        began, begun = os.pipe()
        heard, fed = os.pipe()
        words = LastWords(mmap.mmap(-1, LAST_WORDS))
        child = os.fork()
        if child == 0:
            self._run_node(folder, begun, fed, words)
        os.close(begun)
        os.close(fed)
        if not self._idle:
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.close(null)
        ending = self._watch(child, began)
        ending["fed"] = bool(os.read(heard, 1))
        os.close(began)
        os.close(heard)
        if ending["exit"] == UNFED and not ending["begun"]:
            os._exit(UNFED)
        if self._idle:
            _end_all()
        if ending["exit"] != 0 or not os.path.exists(os.path.join(folder, "out", "answer")):
            self._tell_last_words(words)
        words.close()
        self._tell(ending, folder)
        return ending

    # -- the node's process ------------------------------------------------------------------------

    def _run_node(self, folder: str, begun: int, fed: int, words: LastWords) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        import faulthandler

        faulthandler.enable(2)
        try:
            _clear(os.path.join(self._root, str(self._count - 1)))
            self._contained(folder, begun, fed, words).carry_out()
        except Unfed:
            _exit(UNFED)
        except BaseException:  # there is no room for an answer, or the folder is gone
            import traceback

            _write(2, traceback.format_exc().encode("utf-8", "replace"))
            _exit(1)
        _exit(0)  # leaked threads of user code shall not keep it alive

    def _contained(self, folder: str, begun: int, fed: int, words: LastWords) -> Contained:
        blobs = os.path.join(folder, "blobs")
        for place in (folder, blobs, os.path.join(folder, "out")):
            os.mkdir(place)
        texts = {b"p": "", b"b": ""}
        parts = Parts(0)
        for kind, name, size in parts:
            if kind == b"v":
                parts.save(size, os.path.join(blobs, name))
            else:
                texts[kind] = parts.read(size).decode("utf-8", "surrogatepass")
        os.write(fed, b"f")
        os.close(fed)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        return Contained(texts[b"p"], texts[b"b"], folder, self._frames, begun, words)

    # -- beside it ---------------------------------------------------------------------------------

    def _watch(self, child: int, began: int) -> Dict[str, Any]:  # noqa: UP006
        """Until it has ended, which it does in time."""
        status: Optional[int] = None  # noqa: UP045
        used, most, doom, late, kill_at, said = 0.0, 0, None, None, None, b""
        ears = [self._woken, began]
        while True:
            for pid, how, usage in _ended():
                used += usage.ru_utime + usage.ru_stime
                most = max(most, usage.ru_maxrss)
                if pid == child:
                    status = how
            if status is not None:
                said = said or os.read(began, 64)  # it closed it before user code began, or just now
                break
            now = time.monotonic()
            if kill_at is not None and now >= kill_at:
                _end(child, signal.SIGKILL)
                kill_at = now + GRACE_SECONDS
            elif doom is None and (self._asked or (late is not None and now >= late)):
                doom = "cancelled" if self._asked else "timeout"
                _end(child, signal.SIGTERM)
                kill_at = now + GRACE_SECONDS
            due = [at for at in (kill_at, late if doom is None else None) if at is not None]
            heard = select.select(ears, [], [], max(0.0, min(due) - now) if due else None)[0]
            if self._woken in heard:
                os.read(self._woken, 4096)
            if began in heard:
                ears.remove(began)
                said = os.read(began, 64)  # its time limit, once user code begins
                if said.strip():
                    late = time.monotonic() + float(said)
                if said and self._idle:
                    ears.append(0)
            if 0 in heard:  # nobody speaks to it while it works, so who did is gone
                ears.remove(0)
                self._asked = True
        return {
            "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            "begun": bool(said),
            "doom": doom,
            "cpu": used,
            "memory": self._memory(most),
            "oom": max(0, _oom_kills() - self._killed),  # less when it can be read no more
            "ended": time.time(),
        }

    def _memory(self, most: int) -> int:
        """The most memory that the container had; of the run's processes where that is not told, or of many runs."""
        for place in _PEAKS if os.getpid() == 1 and not self._idle else ():
            with suppress(OSError, ValueError), open(place) as file:
                return int(file.read())
        return int(most * 1024 if sys.platform == "linux" else most)

    def _tell_last_words(self, words: LastWords) -> None:
        """Where there may be a next run, by a process of its own: what one has said is not to be in this one, from
        which the next is forked."""
        if not self._idle:
            self._frames.send(dumps(["w", words.said().get(0, [])]))
            return
        with suppress(OSError):
            teller = os.fork()
            if teller == 0:
                try:
                    self._frames.send(dumps(["w", words.said().get(0, [])]))
                finally:
                    os._exit(0)
            os.waitpid(teller, 0)

    def _tell(self, ending: Dict[str, Any], folder: str) -> None:  # noqa: UP006
        out = os.path.join(folder, "out")
        with suppress(OSError), open(os.path.join(out, "ending"), "w", encoding="utf-8") as file:
            file.write(dumps(ending))
        made = os.path.exists(os.path.join(out, "blobs"))
        self._beside.send('["e"]')
        self._frames.send(dumps(["e", ending, made, folder]))


def _made(folder: str, token: str) -> str:
    """Where it works: in the folder that who speaks to it looks at first, or where else one may write."""
    places = [os.environ.get("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm", os.getcwd()]
    for place in [folder, *(os.path.join(one, ".twingraph-" + token) for one in places if one)]:
        with suppress(OSError):
            os.mkdir(place)
            return place
    os.write(2, b"TwinGraph's runner found no folder in which it may write\n")
    os._exit(_NO_FOLDER)


def _clear(folder: str) -> None:
    with suppress(OSError):
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                _clear(entry.path)
            else:
                with suppress(OSError):
                    os.unlink(entry.path)
        os.rmdir(folder)


def _ended() -> Iterable[Any]:
    """What has ended, also of those whose parents have: the first process is everybody's in the end."""
    while True:
        try:
            found = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if found[0] == 0:
            return
        yield found


def _end(child: int, number: int) -> None:
    with suppress(OSError):
        os.killpg(child, number)
    if os.getpid() == 1 and number == signal.SIGKILL:  # all others here are its descendants
        with suppress(OSError):
            os.kill(-1, number)


def _end_all() -> None:
    """Whatever a run has left behind must not see, or be heard in, the next."""
    if os.getpid() != 1:
        return
    until = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < until:
        with suppress(OSError):
            os.kill(-1, signal.SIGKILL)
        try:
            if os.wait4(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.001)
        except ChildProcessError:
            return
    os._exit(1)


def _oom_kills() -> int:
    for place in _EVENTS if os.getpid() == 1 else ():
        with suppress(OSError, ValueError), open(place) as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0
