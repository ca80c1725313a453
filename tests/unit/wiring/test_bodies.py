"""The bodies of a process live in one world, whoever asks for it first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from twingraph.dispatch.base import CodeRef
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


def test_threads_that_begin_at_once_share_one_world_and_one_host(tmp_path: Path) -> None:
    settings = load({"home": str(tmp_path)})
    home, blobs = Home(tmp_path).open(), MemoryBlobs()
    link, begin, inside = LoopLink(lambda act: None), threading.Barrier(THREADS), threading.Barrier(THREADS)
    asked: list[int] = []

    def slow() -> LoopLink:
        asked.append(1)
        with suppress(threading.BrokenBarrierError):
            inside.wait(MEET_SECONDS)
        return link

    hosts = BodyHosts(
        slow,
        CodeBook(open_store(home, settings), blobs),
        ProcessValues(blobs, b"key"),
        blobs_path="",
        secret=b"key",
        shows_prints=lambda: False,
    )

    def start(number: int) -> tuple[object, object]:
        begin.wait()
        world, version = hosts.live(), f"v{number}"
        world.know(version, {}, {}, {})
        return world, hosts.host_for(
            f"e{number}", CodeRef(version=version, bundle_path="", interpreter="", working_dir="")
        )

    with ThreadPoolExecutor(THREADS) as threads:
        seen = set(threads.map(start, range(THREADS)))
    assert (len(seen), len(asked)) == (1, 1)
    home.close()
