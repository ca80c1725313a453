"""Where the bodies of pipelines run: in this process when it is the script that declares them, else as they were
recorded, on a worker where there is one for them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from twingraph.core.bodies import Host
from twingraph.core.errors import ConflictError
from twingraph.dispatch.base import CodeRef
from twingraph.engine.link import LoopLink
from twingraph.wiring.codes import CodeBook
from twingraph.wiring.values import ProcessValues

if TYPE_CHECKING:
    from twingraph.dispatch.host_process import Elsewhere, Owner, Spoken
    from twingraph.engine.hosting import HostProcesses
    from twingraph.sdk.body.host import BodyHost
    from twingraph.sdk.body.live import LiveWorld


class BodyHosts:
    """Of one runtime. `link` is asked for once there is a conductor."""

    def __init__(
        self,
        link: Callable[[], LoopLink],
        codes: CodeBook,
        values: ProcessValues,
        *,
        blobs_path: str,
        secret: bytes,
        shows_prints: Callable[[], bool],
        elsewhere: Elsewhere | None = None,
        may_leave: Callable[[], bool] = lambda: False,
    ) -> None:
        """`elsewhere` finds a process on a worker; `may_leave`: also for the pipelines that this process declares."""
        self._link, self._codes, self._values = link, codes, values
        self._blobs_path, self._secret = blobs_path, secret
        self._shows_prints = shows_prints
        self._elsewhere, self._may_leave = elsewhere, may_leave
        self._travels: dict[str, bool] = {}  # by code version
        self._world: LiveWorld | None = None  # of the pipelines that this process declares,
        self._host: BodyHost | None = None  # and where their bodies run
        self._processes: HostProcesses | None = None  # where those of all others do
        self._making = threading.Lock()  # many threads may start this process's first pipelines at once

    def live(self) -> LiveWorld:
        """The world of bodies that run in this process; loaded with the first pipeline. Any thread."""
        if self._world is None:
            from twingraph.sdk.body.host import BodyHost
            from twingraph.sdk.body.live import LiveWorld

            with self._making:
                if self._world is None:
                    values = self._values
                    world = LiveWorld(pack=self._codes.pack_late, decode=values.decode, how=values.how)
                    self._host = BodyHost(self._link(), world, shows_prints=self._shows_prints)
                    self._world = world  # last: who sees it counts on the host
        return self._world

    def host_for(self, execution: str, code: CodeRef | None) -> Host:
        """Where the bodies of an execution run. Called on the conductor's thread."""
        if code is not None and self._may_leave() and self._travel(code):
            return self._recorded(execution, code)
        world = self._world  # None: this process has started no pipeline of its own
        if world is None or not world.takes(execution, code.version if code is not None else None):
            return self._recorded(execution, code)
        assert self._host is not None
        return self._host

    def expect(self, code: CodeRef) -> None:
        """A recorded body of this version is about to run: its process starts while the rest is made ready. Any
        thread."""
        here = self._world is not None and self._world.knows(code.version)
        if code.body_path and not here:
            self._link().ask_loop(lambda: self._hosting().expect(code))

    def _travel(self, code: CodeRef) -> bool:
        """Whether bodies of this code can be elsewhere: what cannot be sliced, or reads beside its own file, has no
        other place than that."""
        if self._elsewhere is None or not code.body_path:
            return False
        known = self._travels.get(code.version)
        if known is None:
            with open(code.body_path, encoding="utf-8") as file:
                entries = json.load(file)["entries"].values()
            known = self._travels[code.version] = all(
                entry["mode"] == "slice" and not entry.get("reads_file") for entry in entries
            )
        return known

    def _place(self, code: CodeRef, near: Callable[[], Spoken], owner: Owner) -> Spoken:
        if self._elsewhere is None or not self._travel(code):
            return near()
        return self._elsewhere(code, near, owner)

    def _recorded(self, execution: str, code: CodeRef | None) -> Host:
        """For bodies that are not this process's own: a process that loads them as they were recorded."""
        if code is None or not code.body_path:
            raise ConflictError(
                f"{execution} is a pipeline that another process has started, and the code of its body was not "
                "recorded: go on with `--code current`"
            )
        return self._hosting().host_for(execution, code)

    def _hosting(self) -> HostProcesses:
        """On the conductor's thread."""
        if self._processes is None:
            from twingraph.engine.hosting import HostProcesses

            self._processes = HostProcesses(
                self._link,
                self._codes.keep_beside,
                blobs_path=self._blobs_path,
                secret=self._secret,
                crowded=lambda: self._link().crowded,
                elsewhere=self._place,
            )
        return self._processes

    def error_of(self, execution: str) -> BaseException | None:
        """What left the body of an execution that ran in this process."""
        return self._host.exceptions.pop(execution, None) if self._host is not None else None

    def close(self) -> None:
        if self._processes is not None:
            self._processes.close()
