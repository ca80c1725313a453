"""What every service offers, and how any of them is installed, started, stopped and emptied.

A running service holds the lock of its file `alive`, which it inherits: that is how it is known to live, whoever
started it, and it is never mistaken for another process with its number.
"""

import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from tools.services.locks import is_held, locked, take
from tools.services.places import folder_of, port_of, say


class ServiceError(Exception):
    """A service cannot be had; says which one and what to do."""


class Standing(NamedTuple):
    name: str
    state: str  # missing, installed, running
    port: Optional[int]
    environment: Dict[str, str]


class Service(ABC):
    """One service. A subclass says what it is; how it is looked after is the same for all."""

    name: str
    # Sent one after another until the service has ended.
    stop_signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGKILL)

    def __init__(self, folder: Optional[Path] = None) -> None:
        """With a folder it is one more of its kind, which nobody else knows."""
        self.folder = folder or folder_of(self.name)

    # What a service is.

    @abstractmethod
    def installed(self) -> bool: ...

    @abstractmethod
    def fetch(self) -> None:
        """Bring its programs here. May take minutes; called when they are missing."""

    @abstractmethod
    def prepare(self) -> None:
        """Make its folders. Called before each start; does nothing the second time."""

    @abstractmethod
    def command(self, port: int) -> List[str]: ...

    @abstractmethod
    def answers(self, port: int) -> bool:
        """Whether it really serves: asked again and again after a start."""

    @abstractmethod
    def environment(self, port: int) -> Dict[str, str]:
        """How to reach it, as its clients read it from the environment."""

    def cannot(self) -> Optional[str]:
        """Why this machine cannot have it at all."""
        return None

    def furnish(self, port: int) -> None:
        """Put in what its users expect there. Called after each start, once it answers; what is there stays."""
        return

    def surroundings(self) -> Dict[str, str]:
        """What the service's own process gets beside the environment of who starts it."""
        return {}

    def become(self) -> Optional[Callable[[], None]]:
        """What its process does before it begins, such as to lay down rights."""
        return None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    # How it is looked after.

    def install(self) -> None:
        with locked(self.folder / "guard"):
            self._install()

    def start(self, *, within: float = 60) -> None:
        with locked(self.folder / "guard"):
            if not self.running():
                self._install()
                self.prepare()
                self._launch(port_of(self.folder))
            self._wait_until_it_answers(within)
            self.furnish(self.port())

    def stop(self) -> None:
        with locked(self.folder / "guard"):
            self._stop()

    def reset(self) -> None:
        """Forget all of its data; it runs afterwards if it ran before."""
        with locked(self.folder / "guard"):
            ran = self.running()
            self._stop()
            self.forget()
        if ran:
            self.start()

    def forget(self) -> None:
        """Its data; it must not run."""
        shutil.rmtree(str(self.data), ignore_errors=True)

    def running(self) -> bool:
        return is_held(self.folder / "alive")

    def port(self) -> int:
        return int((self.folder / "port").read_text())

    def pid(self) -> int:
        return int((self.folder / "pid").read_text())

    def standing(self) -> Standing:
        if self.running():
            return Standing(self.name, "running", self.port(), self.environment(self.port()))
        return Standing(self.name, "installed" if self.installed() else "missing", None, {})

    def _install(self) -> None:
        if not self.installed():
            self.fetch()
        if not self.installed():
            raise ServiceError(f"{self.name} could not be installed")

    def _launch(self, port: int) -> None:
        alive = take(self.folder / "alive", wait=False)
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                self.command(port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=os.sep,
                env={**os.environ, **self.surroundings()},
                start_new_session=True,
                pass_fds=(alive,),
                preexec_fn=self.become(),
            )
        os.close(alive)
        process.returncode = 0  # it outlives whoever started it, and its lock tells how it is
        (self.folder / "pid").write_text(str(process.pid))

    def _wait_until_it_answers(self, within: float) -> None:
        deadline = time.monotonic() + within
        while not self.answers(self.port()):
            if not self.running():
                raise ServiceError(f"{self.name} ended at once; its last words:\n{self._last_words()}")
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} does not answer after {within:.0f} s; see {self.folder / 'log'}")
            time.sleep(0.03)

    def _stop(self) -> None:
        for word in self.stop_signals:
            if not self.running():
                return
            with suppress(ProcessLookupError):  # when only its children are left, which end by themselves
                os.kill(self.pid(), word)
            deadline = time.monotonic() + 15
            while self.running() and time.monotonic() < deadline:
                time.sleep(0.02)
        if self.running():
            raise ServiceError(f"{self.name} does not end (process {self.pid()})")

    def _last_words(self) -> str:
        log = self.folder / "log"
        return "".join(log.read_text(errors="replace").splitlines(keepends=True)[-15:]) if log.exists() else ""


def run(command: List[str], what: str, **options: object) -> None:
    """Carry out one step of an installation, silently unless it fails."""
    given = {"stdin": subprocess.DEVNULL, **options}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **given)  # type: ignore[call-overload]
    if done.returncode != 0:
        say(done.stdout.decode(errors="replace")[-2000:])
        raise ServiceError(f"{what} failed (exit {done.returncode}): {' '.join(command)}")
