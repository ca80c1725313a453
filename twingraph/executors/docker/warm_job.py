"""One attempt in a container that serves many. See `docker.warm`."""

from __future__ import annotations

import time
from contextlib import suppress

from twingraph.executors import one_file
from twingraph.executors.base import Finished, Hears
from twingraph.executors.docker.archive import GoingIn
from twingraph.executors.docker.job import DockerJob, Hearing
from twingraph.executors.docker.request import FOLDER, Request, token_of
from twingraph.executors.docker.warm import WarmPlace, idle_seconds, warm_kind, warm_request
from twingraph.executors.told import Told

# Containers that had just ended when a run came to them.
_TRIES = 5


class WarmJob(DockerJob):
    """The container is this job's from when it is taken until it is given back."""

    stays = True
    _place: WarmPlace | None = None

    def remove(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.line.close()
            self._executor.warm.left(place.kind)
        super().remove()

    def _ended_in(self, request: Request, hears: Hears) -> Finished:
        """One that had ended by itself before it could begin with this run is nobody's loss: another one is taken. So
        it is where others have run before and this run could not read its part: what they left may be in its way.
        """
        going_in = GoingIn(self._task, request.environment, self._executor.blobs)
        for _ in range(_TRIES):
            place = self._place = self._taken(request)
            self.name = place.name
            self._told = Told(token_of(place.name), self._task.secrets, Hearing(self, hears), time.time)
            with self._lock:
                self._container = place.id
            with suppress(OSError):
                for piece in going_in.pieces():
                    place.line.send(piece)
            self._listen(place.line)
            if self._told.is_over and self._told.was_fed:
                break
            ended = None if self._told.began is None and place.runs else self._ended_with()
            if ended is not None:
                return ended
            self.remove()
        else:
            self._check()
            return self._lost()
        ended = self._ended()
        self._give_back(place)
        return ended or self._lost()

    def _ended_with(self) -> Finished | None:
        """The container has ended, or is about to. A run that did not hear its whole part has left nothing there."""
        if self._told.is_over and not self._told.was_fed:
            return self._finished(self._standing(self._told.ending, None))
        return self._ended()

    def _taken(self, request: Request) -> WarmPlace:
        warm = self._executor.warm
        kind = warm_kind(self._task, request)
        found: WarmPlace | bool = False
        while found is False:
            self._check()
            found = warm.take(kind, self._engine)
        if isinstance(found, WarmPlace):
            return found
        try:
            return self._start_warm(request, kind)
        except BaseException:
            warm.left(kind)
            raise

    def _start_warm(self, request: Request, kind: str) -> WarmPlace:
        request = warm_request(request, kind, self._executor.home, self._task.component)
        engine, compiled = self._engine, self._executor.compiled
        container = self._created(request)
        with self._lock:
            self._container = container  # so that whatever goes wrong from here on leaves none
        line = engine.attach(container)
        try:
            engine.start(container)
            kept, self._keeps = compiled.of(request.image, request.entrypoint[0])
            line.send(
                one_file.opening(
                    token=token_of(request.name), folder=FOLDER, idle=idle_seconds(self._task), kept=kept,
                    keep=self._keeps,
                )
            )  # fmt: skip
        except BaseException:
            line.close()
            raise
        return WarmPlace(kind, request.name, container, line)

    def _stopped(self) -> None:
        """Nothing can be learned of one that ended under a run: the engine removes it at once."""
        return

    def _give_back(self, place: WarmPlace) -> None:
        """From here on it is another job's. One that was asked to end is not trusted with another run."""
        with self._lock:
            if self._asked is None:
                self._over.set()
                self._container = None
        if self._container is None:
            self._place = None
            self._executor.warm.give(place)
