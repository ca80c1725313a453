"""Hosts for bodies whose live functions are not in this process: processes with the recorded interpreter, folder and
code, one per code version.

A process that dies takes no execution with it: its bodies are opened again in another one and replay. Where several
executions shared it, each goes on in a process of its own, so that only the one that kills its process is counted.
Where there are workers elsewhere the process is one of theirs, as long as that goes well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from twingraph.core import bodies_json
from twingraph.core.bodies import Ended, Items, Link, Opened, Page
from twingraph.core.errors import ErrorCode
from twingraph.core.events import Event, GraphClosed, GraphExtended
from twingraph.core.plan import NodeSpec, PlanNode
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.host_process import Elsewhere, HostProcess, Owner, Spoken, hello_of

# Deaths of its process in a row, without anything new from its body between them, that an execution is allowed.
MAX_DEATHS = 3
# So often in a row may it be lost with a worker; then its bodies stay on this machine.
MAX_STRANDED = 2
# A process in which nothing runs any more ends after this long.
IDLE_SECONDS = 60.0

Locate = Callable[[str, CodeRef, str, Sequence[str]], str]


class HostProcesses:
    """Gives a host for each execution; on the conductor's loop. `link` is asked for when something is first said.

    `locate(execution, code, bundle, packages)` records a bundle (its blob) that a body in the world of `code` has made
    of components which were not found when the execution began, and gives its code version. While `crowded()`, far
    more was said to the conductor than it has heard, and no process is listened to.
    """

    def __init__(
        self,
        link: Callable[[], Link],
        locate: Locate,
        *,
        blobs_path: str,
        secret: bytes | None,
        crowded: Callable[[], bool] = lambda: False,
        elsewhere: Elsewhere | None = None,
        spawn: Callable[..., Spoken] = HostProcess,
    ) -> None:
        """`elsewhere` finds a place for a process on another machine; `spawn` starts one on this."""
        self.crowded, self.elsewhere, self.spawn = crowded, elsewhere, spawn
        self._link, self._locate = link, locate
        self._blobs_path, self._secret = blobs_path, secret
        self._shared: dict[str, _Served] = {}
        self._all: set[_Served] = set()

    def host_for(self, execution: str, code: CodeRef) -> ProcessHost:
        return ProcessHost(execution, code, self)

    def expect(self, code: CodeRef) -> None:
        """Bodies of this version are about to run: their process may start meanwhile. It ends like any that is idle."""
        if code.version not in self._shared:
            self._end_later(self._shared_by(code))

    def close(self) -> None:
        """On the loop, or once that has ended."""
        for served in list(self._all):
            served.process.stop()
        self._all.clear()
        self._shared.clear()

    # -- for the hosts -----------------------------------------------------------------------------

    @property
    def link(self) -> Link:
        return self._link()

    def serve(self, host: ProcessHost, *, alone: bool, near: bool) -> _Served:
        """`alone`: in a process of its own; `near`: on this machine."""
        served = self._begun(host.code, near=near) if alone else self._shared_by(host.code)
        served.hosts[host.execution] = host
        return served

    def _shared_by(self, code: CodeRef) -> _Served:
        known = self._shared.get(code.version)
        if known is None:
            known = self._shared[code.version] = self._begun(code)
        return known

    def _begun(self, code: CodeRef, *, near: bool = False) -> _Served:
        served = _Served(self, code, hello_of(code, self._blobs_path, self._secret), near=near)
        self._all.add(served)
        return served

    def leave(self, served: _Served, execution: str) -> None:
        served.hosts.pop(execution, None)
        if not served.hosts and served in self._all:
            self._end_later(served)

    def _end_later(self, served: _Served) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: `close` comes next
            asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end_idle, served)

    def _end_idle(self, served: _Served) -> None:
        if not served.hosts:
            self.forget(served)
            served.process.stop()

    def forget(self, served: _Served) -> None:
        self._all.discard(served)
        if self._shared.get(served.code.version) is served:
            del self._shared[served.code.version]

    def locate(self, served: _Served, execution: str, number: int, bundle: str, packages: Sequence[str]) -> None:
        try:
            version, problem = self._locate(execution, served.code, bundle, packages), None
        except Exception as error:  # whatever it is, a body waits for the answer
            version, problem = None, f"{type(error).__name__}: {error}"
        served.process.say(["located", number, version, problem])


class _Served:
    """A process and the executions whose bodies it runs."""

    def __init__(self, owner: HostProcesses, code: CodeRef, hello: dict[str, Any], *, near: bool) -> None:
        self.code = code
        self.hosts: dict[str, ProcessHost] = {}
        self._owner = owner
        self._gathering = bodies_json.Gathering()  # what ends in the middle of an event leaves nothing

        def on_this_machine() -> Spoken:
            return owner.spawn(code, hello, self._heard, self._gone, owner.crowded)

        self.process: Spoken
        if near or owner.elsewhere is None:
            self.process = on_this_machine()
        else:
            self.process = owner.elsewhere(
                code, on_this_machine, Owner(self._heard, self._gone, self._stranded, owner.crowded)
            )

    def _heard(self, message: list[Any]) -> None:
        kind, *rest = message
        host = self.hosts.get(rest[0]) if rest else None
        if kind == "piece":
            self._gathering.add(*rest, needed=host is not None)
            return
        if kind == "whole":
            event = self._gathering.whole(*rest[:2], needed=host is not None)
            if host is not None and event is not None:
                host.fed(event, *bodies_json.beside_from_json(rest[2:]))
            return
        if host is None:
            return
        link = self._owner.link
        if kind == "feed":
            host.fed(*bodies_json.fed_from_json(rest[1:]))
        elif kind == "ask":
            link.ask(*rest)
        elif kind == "reopen":
            link.reopen(*rest)
        elif kind == "log":
            link.log(rest[0], bodies_json.logs_from_json(rest[1]))
        elif kind == "locate":
            self._owner.locate(self, *rest)

    def _gone(self, why: str) -> None:
        self._owner.forget(self)
        hosts = [host for host in self.hosts.values() if host.scopes]
        for host in hosts:
            host.lost(why, alone=len(hosts) == 1)

    def _stranded(self, why: str) -> None:
        self._owner.forget(self)
        for host in [host for host in self.hosts.values() if host.scopes]:
            host.stranded()


class ProcessHost:
    """A `core.bodies.Host` for one execution."""

    def __init__(self, execution: str, code: CodeRef, owner: HostProcesses) -> None:
        self.execution, self.code = execution, code
        self.scopes: dict[str, None] = {}  # whose bodies run there, or wait to be run again
        self._owner = owner
        self._served: _Served | None = None
        self._deaths = self._strandings = 0
        self._apart = False
        self._named = 0  # specs, by all processes so far
        self._base = 0  # those that earlier processes have named: this one counts from there

    # -- from the conductor ------------------------------------------------------------------------

    def open(self, opened: Opened) -> None:
        self.scopes[opened.scope] = None
        if not self.code.body_path:
            self._fail(ErrorCode.CODE_UNAVAILABLE, "the code of its bodies was not recorded; use `--code current`")
            return
        if self._served is None:
            near = self._strandings >= MAX_STRANDED
            self._served = self._owner.serve(self, alone=self._apart or near, near=near)
        self._say("open", *bodies_json.opened_to_json(opened))

    def page(self, execution: str, scope: str, page: Page) -> None:
        self._say("page", execution, scope, bodies_json.page_to_json(page))

    def ended(self, execution: str, scope: str, ended: Ended) -> None:
        self._say("ended", execution, scope, bodies_json.ended_to_json(ended))

    def items(self, execution: str, scope: str, items: Items) -> None:
        self._say("items", execution, scope, bodies_json.items_to_json(items))

    def answer(self, execution: str, scope: str, number: int, answer: Any) -> None:
        self._say("answer", execution, scope, number, answer)

    def stop(self, execution: str, why: str, scope: str | None = None) -> None:
        self._say("stop", execution, why, scope)
        if scope is not None:
            self.scopes.pop(scope, None)
            return
        self.scopes.clear()
        served, self._served = self._served, None
        if served is not None:
            self._owner.leave(served, self.execution)

    def _say(self, *message: Any) -> None:
        if self._served is not None:
            self._served.process.say(message)

    # -- from the process --------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Of the process in which its bodies run, once it is there."""
        return self._served.process.pid if self._served is not None else None

    def fed(self, event: Event, lines: Sequence[str] | None, specs: Sequence[NodeSpec]) -> None:
        self._named += len(specs)
        if isinstance(event, GraphExtended):
            event = event._replace(nodes=tuple(_counted_from(self._base, node) for node in event.nodes))
        elif isinstance(event, GraphClosed):
            self.scopes.pop(event.scope, None)
        if not isinstance(event, GraphExtended) or event.nodes:  # specs alone are named again by every replay
            self._deaths = self._strandings = 0
        self._owner.link.feed(self.execution, event, lines, specs)

    def lost(self, why: str, *, alone: bool) -> None:
        """The process is gone. What it said is in the journal or on its way there: the bodies begin again behind it."""
        self._apart = True
        self._deaths += alone
        if self._deaths >= MAX_DEATHS:
            times = f"{self._deaths} times in a row, before its body did anything new; the last time "
            self._served = None
            self._fail(ErrorCode.CRASHED, f"the process that runs its body has died {times}{why}")
            return
        self._begin_again()

    def stranded(self) -> None:
        """The process is gone with its worker, or cannot be heard any more, and this is not known to be its doing."""
        self._strandings += 1
        self._begin_again()

    def _begin_again(self) -> None:
        self._served = None
        self._base = self._named
        for scope in list(self.scopes):
            self._owner.link.reopen(self.execution, scope)

    def _fail(self, code: ErrorCode, message: str) -> None:
        error = ErrorRecord(code=code, error_type="PipelineFailed", message=message)
        scopes = [""] if "" in self.scopes else list(self.scopes)
        self.scopes.clear()
        for scope in scopes:
            self._owner.link.feed(self.execution, GraphClosed(scope, error=error), None)


def _counted_from(base: int, node: PlanNode) -> PlanNode:
    """Its specs as counted over all processes."""
    if not base:
        return node
    bounds = node.bounds
    if bounds is not None and bounds.handler_component is not None:
        bounds = replace(bounds, handler_component=bounds.handler_component + base)
    return node._replace(spec=None if node.spec is None else node.spec + base, bounds=bounds)
