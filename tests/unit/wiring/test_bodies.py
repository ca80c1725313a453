"""The bodies of a process live in one world, whoever asks for it first; which of them may run on workers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.host_process import Owner
from twingraph.engine.hosting import ProcessHost
from twingraph.engine.link import LoopLink
from twingraph.sdk.body.host import BodyHost
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


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., BodyHosts]]:
    """Hosts of a process that declares the pipelines of the version `v`."""
    settings = load({"home": str(tmp_path)})
    home, blobs = Home(tmp_path).open(), MemoryBlobs()
    link = LoopLink(lambda act: None)

    def make(**more: Any) -> BodyHosts:
        book, values = CodeBook(open_store(home, settings), blobs), ProcessValues(blobs, b"key")
        hosts = BodyHosts(lambda: link, book, values, blobs_path="", secret=b"key", shows_prints=lambda: False, **more)
        hosts.live().know("v", {}, {}, {})
        return hosts

    yield make
    home.close()


def code(folder: Path, *modes: str) -> CodeRef:
    file = folder / "bodies"
    file.write_text(json.dumps({"entries": {f"flow:{number}": {"mode": mode} for number, mode in enumerate(modes)}}))
    return CodeRef(version="v", bundle_path="", body_path=str(file), interpreter="", working_dir="")


def no_worker(*given: object) -> Any:
    raise AssertionError(given)


def test_bodies_of_who_only_carries_them_out_may_leave_and_those_of_a_script_stay(
    made: Callable[..., BodyHosts], tmp_path: Path
) -> None:
    sliced = code(tmp_path, "slice", "slice")
    leaves, stays = made(elsewhere=no_worker, may_leave=lambda: True), made(elsewhere=no_worker)
    assert isinstance(leaves.host_for("e", sliced), ProcessHost)
    assert isinstance(stays.host_for("e", sliced), BodyHost)


@pytest.mark.parametrize("modes", [(), ("slice", "refused")], ids=["no worker is asked", "it cannot be sliced"])
def test_what_cannot_leave_stays_with_its_live_functions(
    made: Callable[..., BodyHosts], tmp_path: Path, modes: tuple[str, ...]
) -> None:
    hosts = made(elsewhere=no_worker if modes else None, may_leave=lambda: True)
    assert isinstance(hosts.host_for("e", code(tmp_path, *(modes or ("slice",)))), BodyHost)


def test_recorded_bodies_of_which_one_cannot_be_sliced_stay_on_this_machine(
    made: Callable[..., BodyHosts], tmp_path: Path
) -> None:
    begun: list[str] = []
    owner = Owner(no_worker, no_worker, no_worker, lambda: False)

    def near() -> Any:
        begun.append("near")

    def elsewhere(*given: object) -> Any:
        begun.append("elsewhere")

    for modes in (("slice", "refused"), ("slice", "slice")):
        made(elsewhere=elsewhere)._place(code(tmp_path, *modes), near, owner)
    assert begun == ["near", "elsewhere"]
