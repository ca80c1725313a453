"""Recorded bodies run in a process of their own, and outlive its death."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from twingraph.core.bodies import BodyLog, Ended, Opened, Page, PastCall
from twingraph.core.events import Event, GraphClosed, GraphExtended
from twingraph.core.hashing import content_hash
from twingraph.core.plan import NodeSpec, PlanNode
from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.host_process import HostProcess, hello_of
from twingraph.engine.hosting import HostProcesses, ProcessHost

FLOWS = """
import os
from twingraph import component, pipeline

@component
def add(x: int, y: int) -> int:
    return x + y

@pipeline
def body(x: int):
    print("begun with", x)
    try:
        a = add(x, 1)
    except ValueError:
        a = 0
    b = add(a, 2)
    return [int(a), int(b)]

@pipeline
def logs(x: int):
    import logging
    logging.debug("too little")
    logging.info("begun with %s", x)
    logging.getLogger("flows").warning("take care")

@pipeline
def deadly(x: int):
    os._exit(3)

JUNK = [b"[" * 100_000, b"{}", b"[[1]]", b'["feed", "babbles"]', b'["log", "babbles", [[1]]]', b'"x"', b"7", b"\\xff"]

@pipeline
def babbles(x: int):
    for number in range(3, 64):
        try:
            os.write(number, JUNK[x] + b"\\n")
        except OSError:
            pass
    return add(x, x)

@pipeline
def nested(x: int):
    @component
    def inner(y: int) -> int:
        return y
    return int(inner(x))
"""


class Link:
    """What the bodies say; each new word wakes who waits for it."""

    def __init__(self) -> None:
        self.nodes: list[PlanNode] = []
        self.specs: list[NodeSpec] = []
        self.closed: list[GraphClosed] = []
        self.reopened: list[tuple[str, str]] = []
        self.lines: list[str] = []
        self.located: list[tuple[str, str]] = []

    def feed(self, execution: str, event: Event, lines: Sequence[str] | None, specs: Sequence[NodeSpec] = ()) -> None:
        self.specs += specs
        if isinstance(event, GraphExtended):
            self.nodes += event.nodes
        elif isinstance(event, GraphClosed):
            self.closed.append(event)

    def ask(self, execution: str, scope: str, number: int, what: str, about: str) -> None:
        raise AssertionError("nothing is asked")

    def reopen(self, execution: str, scope: str) -> None:
        self.reopened.append((execution, scope))

    def log(self, execution: str, lines: Sequence[BodyLog]) -> None:
        self.lines += [line.message for line in lines]

    async def until(self, met: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while not met():
                await asyncio.sleep(0.002)


def code(folder: Path) -> CodeRef:
    """The bundles as `sdk/slicing` makes them, written by hand."""
    module = {"file": str(folder / "flows.py"), "text": FLOWS, "package": False, "main": False, "search": []}

    def bundle(file: str, *names: str) -> str:
        entries = {
            f"flows:{name}": {
                "mode": "slice",
                "module": "flows",
                "name": name,
                "factory": None,
                "closure": {},
                "file": module["file"],
                "main": False,
            }
            for name in names
        }
        (folder / file).write_text(json.dumps({"format": 1, "modules": {"flows": module}, "entries": entries}))
        return str(folder / file)

    return CodeRef(
        version="v1",
        bundle_path=bundle("components.json", "add"),
        body_path=bundle("bodies.json", "body", "logs", "deadly", "babbles", "nested"),
        interpreter=sys.executable,
        working_dir=str(folder),
        sys_path=tuple(entry for entry in sys.path if entry),
    )


def served(folder: Path, story: Callable[[HostProcesses, Link, CodeRef], Awaitable[None]]) -> Link:
    link = Link()

    def locate(execution: str, code: CodeRef, bundle: str, packages: Sequence[str]) -> str:
        link.located.append((execution, bundle))
        return "v2"

    async def run() -> None:
        processes = HostProcesses(lambda: link, locate, blobs_path=str(folder), secret=b"k" * 32)
        try:
            await story(processes, link, code(folder))
        finally:
            processes.close()

    asyncio.run(run())
    return link


def begin(host: ProcessHost, name: str, page: Page | None = None, x: str = "4") -> None:
    host.open(Opened(host.execution, "", f"flows:{name}", (("x", x),)))
    host.page(host.execution, "", page or Page(last=True))


def gave(node: str, order: int, text: str) -> Ended:
    return Ended(node, order, "completed", "plain", (("output", content_hash(text.encode()), len(text)),), (text,))


def test_a_body_runs_to_its_end(tmp_path: Path) -> None:
    async def story(processes: HostProcesses, link: Link, code: CodeRef) -> None:
        host = processes.host_for("e1", code)
        begin(host, "body")
        await link.until(lambda: link.nodes or link.closed)
        assert not link.closed, link.closed
        await asyncio.sleep(0.05)
        assert [node.id for node in link.nodes] == ["add"]  # it stands in a `try`
        host.ended("e1", "", gave("add", 1, "5"))
        await link.until(lambda: len(link.nodes) == 2)
        host.ended("e1", "", gave("add-2", 2, "7"))
        await link.until(lambda: link.closed)
        host.stop("e1", "it is over")

    link = served(tmp_path, story)
    assert link.closed[0].error is None
    assert json.loads("".join(str(part) for part in link.closed[0].result)) == [5, 7]
    assert [spec.entry for spec in link.specs] == ["flows:add"]
    assert link.specs[0].code is None
    assert link.lines == ["begun with 4"]


def test_what_a_body_logs_is_kept_from_info_on(tmp_path: Path) -> None:
    async def story(processes: HostProcesses, link: Link, code: CodeRef) -> None:
        begin(processes.host_for("e1", code), "logs")
        await link.until(lambda: link.closed)

    assert served(tmp_path, story).lines == ["begun with 4", "take care"]


def test_a_process_that_was_expected_runs_the_body(tmp_path: Path) -> None:
    async def story(processes: HostProcesses, link: Link, code: CodeRef) -> None:
        processes.expect(code)
        processes.expect(code)
        (expected,) = processes._all
        await link.until(lambda: expected.process.pid is not None)
        host = processes.host_for("e1", code)
        begin(host, "body")
        await link.until(lambda: link.nodes or link.closed)
        assert (host.pid, len(processes._all)) == (expected.process.pid, 1)

    assert [node.id for node in served(tmp_path, story).nodes] == ["add"]


def test_the_death_of_a_process_that_was_expected_concerns_nobody(tmp_path: Path) -> None:
    async def story(processes: HostProcesses, link: Link, code: CodeRef) -> None:
        processes.expect(code)
        (expected,) = processes._all
        await link.until(lambda: expected.process.pid is not None)
        os.kill(expected.process.pid or 0, signal.SIGKILL)
        await link.until(lambda: not processes._all)
        begin(processes.host_for("e1", code), "body")
        await link.until(lambda: link.nodes or link.closed)

    link = served(tmp_path, story)
    assert ([node.id for node in link.nodes], link.reopened) == (["add"], [])


def test_a_killed_process_is_followed_by_another(tmp_path: Path) -> None:
    async def story(processes: HostProcesses, link: Link, code: CodeRef) -> None:
        host = processes.host_for("e1", code)
        begin(host, "body")
        await link.until(lambda: link.nodes or link.closed)
        assert not link.closed, link.closed
        first = host.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await link.until(lambda: link.reopened)
        past = Page((PastCall("add", link.nodes[0]),), (gave("add", 1, "5"),), last=True)
        begin(host, "body", past)
        await link.until(lambda: len(link.nodes) == 2)
        assert host.pid != first
        host.ended("e1", "", gave("add-2", 2, "7"))
        await link.until(lambda: link.closed)

    link = served(tmp_path, story)
    assert link.reopened == [("e1", "")]
    assert link.closed[0].error is None
    assert [node.spec for node in link.nodes] == [0, 1]  # counted over both processes
    assert [spec.component for spec in link.specs] == ["add", "add"]
    assert link.lines == ["begun with 4"]  # the replay says nothing


def test_a_body_that_kills_its_process_fails_and_takes_nobody_along(tmp_path: Path) -> None:
    async def story(processes: HostProcesses, link: Link, code: CodeRef) -> None:
        hosts = {name: processes.host_for(name, code) for name in ("body", "deadly")}
        begin(hosts["body"], "body")
        await link.until(lambda: link.nodes or link.closed)
        assert not link.closed, link.closed
        begin(hosts["deadly"], "deadly")
        while not link.closed:
            await link.until(lambda: link.reopened or link.closed)
            for name, _ in link.reopened:
                begin(hosts[name], name, Page((PastCall("add", link.nodes[0]),), last=True) if name == "body" else None)
            link.reopened.clear()
        assert list(hosts["body"].scopes) == [""]

    link = served(tmp_path, story)
    error = link.closed[0].error
    assert error is not None
    assert error.code == "crashed"
    assert "died 3 times in a row" in error.message
    assert "exit code 3" in error.message


@pytest.mark.parametrize(
    ("sent", "is_taken"), [(signal.SIGTERM, True), (signal.SIGKILL, True), (signal.SIGABRT, False)]
)
def test_a_process_that_somebody_else_ends_is_told_apart(tmp_path: Path, sent: int, is_taken: bool) -> None:
    async def story() -> None:
        heard: asyncio.Queue[object] = asyncio.Queue()
        given = code(tmp_path)
        process = HostProcess(
            given, hello_of(given, str(tmp_path / "blobs"), None), heard.put_nowait, heard.put_nowait, lambda: False
        )
        try:
            async with asyncio.timeout(30):
                assert (await heard.get()) == ["hello"]
                assert process.pid is not None
                os.kill(process.pid, sent)
                assert str(await heard.get()).startswith(f"it was ended by {signal.Signals(sent).name}")
        finally:
            process.stop()
        assert process.is_taken is is_taken

    asyncio.run(story())


@pytest.mark.parametrize("junk", range(8))
def test_a_body_that_writes_to_our_descriptors_fails_alone(tmp_path: Path, junk: int) -> None:
    """Whatever the bytes are, the loop that hears them goes on."""

    async def story(processes: HostProcesses, link: Link, code: CodeRef) -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        host = processes.host_for("babbles", code)
        begin(host, "babbles", x=str(junk))
        while not link.closed:
            await link.until(lambda: link.reopened or link.closed or link.nodes or faults)
            assert not faults
            for _ in link.reopened:
                begin(host, "babbles", x=str(junk))
            link.reopened.clear()
            if link.nodes and not link.closed:
                host.ended("babbles", "", gave("add", 1, "5"))
                link.nodes.clear()
        error = link.closed[0].error  # None where it came to its end before it was killed
        assert error is None or error.code in ("crashed", "worker_lost")

    served(tmp_path, story)


def test_a_component_made_in_a_body_is_recorded(tmp_path: Path) -> None:
    async def story(processes: HostProcesses, link: Link, code: CodeRef) -> None:
        begin(processes.host_for("e1", code), "nested")
        await link.until(lambda: link.nodes or link.closed)

    link = served(tmp_path, story)
    assert not link.closed, link.closed
    assert link.specs[0].code == "v2"
    assert [execution for execution, _ in link.located] == ["e1"]


def test_an_interpreter_that_is_gone_fails_the_execution(tmp_path: Path) -> None:
    async def story(processes: HostProcesses, link: Link, code: CodeRef) -> None:
        from dataclasses import replace

        host = processes.host_for("e1", replace(code, interpreter=str(tmp_path / "python")))
        begin(host, "body")
        while not link.closed:
            await link.until(lambda: link.reopened or link.closed)
            if link.reopened:
                link.reopened.clear()
                begin(host, "body")

    error = served(tmp_path, story).closed[0].error
    assert error is not None
    assert "cannot be started" in error.message
