"""An executor whose places are folders of this machine: the runner as any platform has it, with nothing around it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from twingraph.executors import one_file
from twingraph.executors.base import Finished, Hears, Task
from twingraph.executors.docker.archive import GoingIn
from twingraph.executors.docker.request import name_of, token_of
from twingraph.executors.ended import Standing, finished
from twingraph.executors.told import Told
from twingraph.store.blobs.base import BlobStore


class BoxExecutor:
    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        self.folder = folder
        self.blobs = blobs

    def job(self, task: Task) -> BoxJob:
        return BoxJob(self, task)

    def sweep(self, is_over: Callable[[str], bool]) -> int:
        return 0

    def clear(self, execution: str) -> int:
        return 0

    def close(self) -> None:
        return


class BoxJob:
    again: tuple[int, int] | None = None

    def __init__(self, executor: BoxExecutor, task: Task) -> None:
        self._executor = executor
        self._task = task
        self._asked: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.name = name_of(task, "box")

    def end(self, why: str) -> None:
        with self._lock:
            self._asked = self._asked or why
            if self._process is not None:
                with suppress(ProcessLookupError):
                    self._process.send_signal(signal.SIGTERM)

    def follow(self, hears: Hears) -> Finished:
        task, place = self._task, self._executor.folder / self.name
        going_in = GoingIn(task, (), self._executor.blobs)
        told = Told(token_of(self.name), task.secrets, hears, time.time)
        with self._lock:
            if self._asked is not None:
                return finished(task, Standing(asked=self._asked), time.time())
            command = [sys.executable, "-B", "-c", one_file.BOOT]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(one_file.opening(token=token_of(self.name), folder=str(place)))
            for piece in going_in.pieces():
                pipe.write(piece)
        while data_read := os.read(self._process.stdout.fileno(), 65536):
            told.feed(data_read, None)
        told.finish()
        self._process.stdout.close()
        code = self._process.wait()
        standing = Standing(ending=told.ending, answer=told.answer, exit_code=code, began=told.began, asked=self._asked)
        return finished(task, standing, time.time())

    def remove(self) -> None:
        subprocess.run(["rm", "-rf", str(self._executor.folder / self.name)], check=True)
