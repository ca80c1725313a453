"""The bodies of a process live in one world, whoever asks for it first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from twingraph.dispatch.base import CodeRef
from twingraph.engine.hosting import ProcessHost
from twingraph.engine.link import LoopLink
from twingraph.settings import load
from twingraph.store.blobs.memory import MemoryBlobs
from twingraph.store.home import Home
from twingraph.wiring.bodies import BodyHosts
from twingraph.wiring.codes import CodeBook
from twingraph.wiring.makers import open_store
from twingraph.wiring.values import ProcessValues

THREADS = 4
MEET_SECONDS = 0.3  # for all threads to meet where only one may be


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[Callable[[], LoopLink]], BodyHosts]]:
    settings = load({"home": str(tmp_path)})
    home, blobs = Home(tmp_path).open(), MemoryBlobs()
    yield lambda link: BodyHosts(
        link,
        CodeBook(open_store(home, settings), blobs),
        ProcessValues(blobs, b"key"),
        blobs_path="",
        secret=b"key",
        shows_prints=lambda: False,
    )
    home.close()


Makes = Callable[[Callable[[], LoopLink]], BodyHosts]


def code(version: str, body_path: str = "") -> CodeRef:
    return CodeRef(version=version, bundle_path="", interpreter="", working_dir="", body_path=body_path)


def test_threads_that_begin_at_once_share_one_world_and_one_host(make: Makes) -> None:
    link, begin, inside = LoopLink(lambda act: None), threading.Barrier(THREADS), threading.Barrier(THREADS)
    asked: list[int] = []

    def slow() -> LoopLink:
        asked.append(1)
        with suppress(threading.BrokenBarrierError):
            inside.wait(MEET_SECONDS)
        return link

    hosts = make(slow)

    def start(number: int) -> tuple[object, object]:
        begin.wait()
        world, version = hosts.live(), f"v{number}"
        world.know(version, {}, {}, {})
        return world, hosts.host_for(f"e{number}", code(version))

    with ThreadPoolExecutor(THREADS) as threads:
        seen = set(threads.map(start, range(THREADS)))
    assert (len(seen), len(asked)) == (1, 1)


def test_what_this_process_has_not_started_runs_as_it_was_recorded(make: Makes) -> None:
    hosts = make(lambda: LoopLink(lambda act: None))
    assert isinstance(hosts.host_for("e1", code("v1", "bodies.json")), ProcessHost)
    hosts.live().know("v1", {}, {}, {})
    assert not isinstance(hosts.host_for("e1", code("v1", "bodies.json")), ProcessHost)
    assert isinstance(hosts.host_for("e2", code("v2", "bodies.json")), ProcessHost)


def test_only_for_recorded_bodies_a_process_is_expected(make: Makes) -> None:
    asked: list[Callable[[], None]] = []
    hosts = make(lambda: LoopLink(asked.append))
    hosts.expect(code("v1"))
    hosts.live().know("v2", {}, {}, {})
    hosts.expect(code("v2", "bodies.json"))
    assert not asked
    hosts.expect(code("v3", "bodies.json"))
    assert len(asked) == 1
