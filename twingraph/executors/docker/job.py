"""One attempt in a container. See `executors.base` for the promise."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from twingraph.core.codec import refs
from twingraph.core.errors import UNREACHABLE, ErrorCode, StoreError, TwinGraphError
from twingraph.executors import one_file
from twingraph.executors.base import Finished, Hears, Task
from twingraph.executors.base import Line as LogLine
from twingraph.executors.docker.archive import GoingIn, Results
from twingraph.executors.docker.client import Container, Engine, EngineError, Line, Pieces
from twingraph.executors.docker.left import (
    SupersededError,
    attempts_of,
    is_of_work,
    left_behind,
    taken_over,
    token_of_work,
)
from twingraph.executors.docker.request import (
    FIRST_FOLDER,
    FOLDER,
    Request,
    RequestError,
    python_of,
    request_of,
    token_of,
)
from twingraph.executors.ended import Standing, UnreadableEndingError, ending_of_text, failed, finished
from twingraph.executors.mask import Mask
from twingraph.executors.parcel import UNFED
from twingraph.executors.told import Told

if TYPE_CHECKING:
    from twingraph.executors.docker.executor import DockerExecutor

# From the first word to the last; the runner inside is done a little sooner by itself.
END_SECONDS = 1.6
# An engine that is restarted has so long to come back.
AWAY_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_NOWHERE = "is not on the engine and cannot be pulled"


class _AskedToEndError(Exception):
    pass


class DockerJob:
    """One attempt. `follow` is called once."""

    stays = False  # whether the container goes on when the run is over

    def __init__(self, executor: DockerExecutor, task: Task) -> None:
        self._executor = executor
        self._task = task
        self._engine: Engine
        self._container: str | None = None  # by which the engine knows it as this job's: its name
        self._told: Told
        self._keeps = False
        self._asked: str | None = None
        self._pieces: Pieces | None = None  # what is listened to
        self._is_others = False
        self._over = threading.Event()
        self._lock = threading.Lock()  # who holds it may signal the container, which is this job's own till then
        self.name = ""
        self.again: tuple[int, int] | None = None

    # -- another thread ----------------------------------------------------------------------------

    def end(self, why: str) -> None:
        if self._asked is None:
            self._asked = why
            threading.Thread(target=self._end, name="twingraph-docker-end", daemon=True).start()

    def _end(self) -> None:
        """Also one that is only about to be started: the word is said until it is heard."""
        kill_at = time.monotonic() + END_SECONDS
        word = "SIGTERM"
        while not self._over.is_set():
            if time.monotonic() >= kill_at:
                word = "SIGKILL"
            if self._signalled(word) and word == "SIGTERM":
                self._over.wait(max(0.0, kill_at - time.monotonic()))
            self._over.wait(_LOOK_SECONDS)

    def _signalled(self, word: str) -> bool:
        with self._lock:
            if self._container is None or self._over.is_set():
                return False
            try:
                self._engine.signal(self._container, word)
            except EngineError as error:
                if error.kind == "missing" and not self.stays:
                    self._let_go()
                return False
            return True

    def _let_go(self) -> None:
        """It is gone, or another attempt goes on with it: there is nothing to be heard here any more."""
        self._is_others = True
        if self._pieces is not None:
            self._pieces.hang_up()

    # -- its own thread ----------------------------------------------------------------------------

    def follow(self, hears: Hears) -> Finished:
        task = self._task
        self._told = Told("", task.secrets, hears, time.time)
        try:
            return self._carried_out(hears)
        except _AskedToEndError:
            return finished(task, self._standing(None, None), time.time())
        except RequestError as error:
            return self._failed(ErrorCode.INVALID_INPUT, "ConfigurationError", str(error), permanent=True)
        except SupersededError:
            return self._failed(ErrorCode.WORKER_LOST, "Superseded", "a later attempt of it is here already")
        except EngineError as error:
            return self._refused(error)
        except StoreError as error:  # the store of values; it may answer the next time
            return self._failed(ErrorCode.INTERNAL, type(error).__name__, str(error))
        except TwinGraphError as error:
            return self._failed(ErrorCode.INVALID_INPUT, type(error).__name__, str(error), permanent=True)
        except UnreadableEndingError as error:
            return self._failed(ErrorCode.INVALID_OUTPUT, "RunnerError", str(error))
        except Exception as error:  # whatever the runner's folder was made to hold
            message = f"what its container gave cannot be read: {type(error).__name__}: {error}"
            return self._failed(ErrorCode.INVALID_OUTPUT, "RunnerError", message)
        finally:
            self._over.set()

    def remove(self) -> None:
        if self._container is not None:
            with suppress(EngineError):  # the sweep of a later process finds it
                self._engine.remove(self._container)

    def _carried_out(self, hears: Hears) -> Finished:
        request = request_of(self._task, self._executor.home, self._executor.key)
        self._engine = self._executor.engine(self._task.config.get("host"))
        self.name = request.name
        self._check()
        return self._ended_in(request, hears)

    def _ended_in(self, request: Request, hears: Hears) -> Finished:
        pieces = self._adopted(self._left_behind(), request, hears) or self._started(request, hears)
        self._listen_to_all(pieces)
        ended = self._ended()
        if ended is not None:
            return ended
        self.remove()  # who started it was gone before it had told it what to do
        self._listen_to_all(self._started(request, hears))
        return self._ended() or self._lost()

    def _check(self) -> None:
        if self._asked is not None:
            raise _AskedToEndError

    # -- beginning ---------------------------------------------------------------------------------

    def _started(self, request: Request, hears: Hears) -> Pieces:
        engine = self._engine
        going_in = GoingIn(self._task, request.environment, self._executor.blobs)
        self._executor.names.add(request.name)
        try:
            self._created(request)
        except EngineError as error:
            if error.kind != "conflict":
                raise
            return self._taken_name(request, hears)
        self._container = self.name = request.name
        self.again = None
        self._told = Told(token_of(request.name), self._task.secrets, Hearing(self, hears), time.time)
        pieces = engine.attach(self._container)
        try:
            self._check()
            engine.start(self._container)
            self._feed(pieces, request, going_in)
        except BaseException:
            pieces.close()
            raise
        return pieces

    def _feed(self, line: Line, request: Request, going_in: GoingIn) -> None:
        kept, keep = self._executor.compiled.of(request.image, request.entrypoint[0])
        self._keeps = keep
        opening = one_file.opening(token=token_of(request.name), folder=FOLDER, kept=kept, keep=keep)
        with suppress(OSError):  # why nobody hears it any more is found out by listening
            for piece in going_in.pieces():
                line.send(opening + piece)
                opening = b""

    def _created(self, request: Request) -> str:
        """Only making the container tells that an image is not there, so that one that is costs no question."""
        if request.pull == "always":
            self._pull(request)
        self._check()
        try:
            return self._engine.create(request)
        except EngineError as error:
            if error.kind != "missing" or self._engine.has_image(request.image):
                raise
            if request.pull == "never":
                message = f"{request.image!r} is not on the engine, and pull_policy is 'never': {error}"
                raise EngineError("image", message) from error
        self._pull(request)
        self._check()
        return self._engine.create(request)

    def _pull(self, request: Request) -> None:
        try:
            self._engine.pull(request.image, request.credentials)
        except EngineError as error:
            if error.kind == "unreachable":
                raise
            why = "cannot be pulled, as pull_policy 'always' asks" if request.pull == "always" else _NOWHERE
            raise EngineError("image", f"the image {request.image!r} {why}: {error}") from error

    def _taken_name(self, request: Request, hears: Hears) -> Pieces:
        """The same attempt of a process before us, which ended before it could write down that it began."""
        found = self._engine.look(request.name)
        if found is not None and is_of_work(found, self._task, self._executor.key):
            pieces = self._adopted(found, request, hears)
            if pieces is not None:
                return pieces
        elif found is not None:
            self._engine.remove(found.id)
        time.sleep(_LOOK_SECONDS)  # it may be going already
        self._check()
        return self._started(request, hears)

    # -- what others left --------------------------------------------------------------------------

    def _left_behind(self) -> Container | None:
        if self._task.attempt == 1:
            return None
        executor = self._executor
        return left_behind(self._engine, self._task, executor.home, executor.key, executor.names)

    def _adopted(self, found: Container | None, request: Request, hears: Hears) -> Pieces | None:
        name = taken_over(self._engine, found, request.name) if found is not None else None
        if found is None or name is None:
            return None
        self._executor.names.add(name)
        self._container = self.name = name
        self.again = attempts_of(found)
        token = token_of_work(found, self._task, self._executor.home)
        self._told = Told(token, self._task.secrets, Hearing(self, hears), self._when)
        return self._engine.logs(name)

    def _when(self) -> float:
        """Of what its runner does not say itself: when others heard it, nobody knows any more."""
        return time.time() if self._told.began is None else 0.0

    # -- while it runs -----------------------------------------------------------------------------

    def _listen_to_all(self, pieces: Pieces) -> None:
        try:
            self._listen(pieces)
        finally:
            pieces.close()

    def _listen(self, pieces: Pieces) -> None:
        told = self._told
        self._pieces = pieces
        with suppress(EngineError, OSError):  # what is left to be known the engine tells when it is back
            for out, err in pieces if not self._is_others else ():
                told.feed(out, err)
                if told.is_over:
                    break
        told.finish()
        if self._keeps:
            self._executor.compiled.take(str(self._task.image), python_of(self._task), told.kept)

    def bring_blobs(self, texts: Sequence[str]) -> None:
        """Large parts of what was given while it runs go to the store before anybody hears of them."""
        assert self._container is not None
        for text in texts:
            for digest in refs(text):
                if not self._executor.blobs.refresh(digest):
                    place = f"{self._told.folder}/out/blobs/{digest}"
                    Results(self._engine.get(self._container, place), self._executor.blobs)

    # -- its end -----------------------------------------------------------------------------------

    def _ended(self) -> Finished | None:
        """None: it was never told what to do, and did nothing."""
        told = self._told
        ending, answer = told.ending, told.answer
        if ending is not None and (answer is not None or ending["exit"] == 0 or self.stays):
            if answer is None or told.left_files:
                left = self._results() or {}
                answer = answer or left.get("answer")
            return self._finished(self._standing(ending, answer))
        found = self._stopped()
        if found is None:
            return self._finished(self._standing(ending, None))
        if found.exit_code == UNFED and told.began is None and self._asked is None:
            return None
        results = self._results()
        if results is not None:
            if ending is None and "ending" in results:
                ending = ending_of_text(results["ending"])
            answer = answer if answer is not None else results.get("answer")
        return self._finished(self._standing(ending, answer, found))

    def _lost(self) -> Finished:
        return self._failed(ErrorCode.WORKER_LOST, "WorkerLost", "its container was told nothing: the engine lost it")

    def _finished(self, standing: Standing) -> Finished:
        return finished(self._task, standing, time.time())

    def _stopped(self) -> Container | None:
        """The container once it does not run any more; None: it is gone. An engine that is away may come back."""
        assert self._container is not None
        away_until = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                found = self._engine.look(self._container)
            except EngineError:
                if time.monotonic() > away_until:
                    raise
                time.sleep(_LOOK_SECONDS)
                continue
            if found is None or found.state in ("exited", "dead"):
                return found
            away_until = time.monotonic() + AWAY_SECONDS
            self._listen_again()
            time.sleep(_LOOK_SECONDS)

    def _listen_again(self) -> None:
        """It runs and yet there is nothing to be heard: the engine was away, or user code closed its streams."""
        assert self._container is not None
        told, skip = self._told, list(self._told.heard)
        self._pieces = heard = self._engine.logs(self._container)
        with suppress(EngineError, OSError), closing(heard):
            for pieces in heard if not self._is_others else ():
                fresh: list[bytes | None] = [None, None]
                for stream, piece in enumerate(pieces):
                    if piece:
                        fresh[stream] = piece[skip[stream] :] or None
                        skip[stream] = max(0, skip[stream] - len(piece))
                told.feed(fresh[0], fresh[1])
        told.finish()

    def _results(self) -> Mapping[str, str] | None:
        """The texts that it left; its blobs go to the store."""
        assert self._container is not None
        try:
            pieces = self._engine.get(self._container, f"{self._told.folder or FIRST_FOLDER}/out")
            return Results(pieces, self._executor.blobs).texts
        except EngineError as error:
            if error.kind == "missing":
                return None
            raise

    def _standing(
        self, ending: Mapping[str, object] | None, answer: str | None, found: Container | None = None
    ) -> Standing:
        told = self._told
        return Standing(
            ending=ending,
            answer=answer,
            exit_code=found.exit_code if found is not None else None,
            oom_killed=found is not None and found.oom_killed,
            began=told.began,
            asked=self._asked,
            last=told.last,
            fault=told.fault,
        )

    def _refused(self, error: EngineError) -> Finished:
        if error.kind == "unreachable":
            return self._failed(ErrorCode.WORKER_LOST, UNREACHABLE, str(error), status="lost")
        if "executable file not found" in str(error) or "no such file or directory" in str(error):
            message = (
                f"the image {self._task.image!r} has no such program, and the runner needs Python 3.8 or newer: {error}"
            )
            return self._failed(ErrorCode.CODE_UNAVAILABLE, "PythonMissing", message, permanent=True)
        if error.kind == "image":
            return self._failed(ErrorCode.CODE_UNAVAILABLE, "ImageMissing", str(error), permanent=True)
        message = f"the engine refused the container: {error}"
        return self._failed(ErrorCode.INVALID_INPUT, "ContainerRefused", message, permanent=True)

    def _failed(
        self, code: str, kind: str, message: str, *, permanent: bool = False, status: str = "failed"
    ) -> Finished:
        hide = Mask(self._task.secrets) if self._task.secrets else str
        return failed(
            self._task, code, kind, hide(message), time.time(), status=status, permanent=permanent,
            started=self._told.began,
        )  # fmt: skip


class Hearing:
    """Passes on what is heard; items wait until what they refer to is in the store."""

    def __init__(self, job: DockerJob, hears: Hears) -> None:
        self._job = job
        self._hears = hears

    def began(self, at: float) -> None:
        self._hears.began(at)

    def said(self, lines: Sequence[LogLine]) -> None:
        self._hears.said(lines)

    def gave(self, start: int, texts: Sequence[str]) -> None:
        self._job.bring_blobs(texts)
        self._hears.gave(start, texts)
