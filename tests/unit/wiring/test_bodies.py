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

Makes = Callable[..., BodyHosts]  # given the link, and what else is to be so


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Makes]:
    settings = load({"home": str(tmp_path)})
    home, blobs = Home(tmp_path).open(), MemoryBlobs()
    yield lambda link, **more: BodyHosts(
        link,
        CodeBook(open_store(home, settings), blobs),
        ProcessValues(blobs, b"key"),
        blobs_path="",
        secret=b"key",
        shows_prints=lambda: False,
        **more,
    )
    home.close()


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


def packed(folder: Path, *modes: str) -> CodeRef:
    file = folder / "bodies"
    beside = {"mode": "slice", "reads_file": True}
    entries = [beside if mode == "beside" else {"mode": mode} for mode in modes]
    file.write_text(json.dumps({"entries": {f"flow:{number}": entry for number, entry in enumerate(entries)}}))
    return code("v", str(file))


def declaring(make: Makes, **more: Any) -> BodyHosts:
    """In a process that declares the pipelines of the version `v`."""
    hosts = make(lambda: LoopLink(lambda act: None), **more)
    hosts.live().know("v", {}, {}, {})
    return hosts


def no_worker(*given: object) -> Any:
    raise AssertionError(given)


def test_bodies_of_who_only_carries_them_out_may_leave_and_those_of_a_script_stay(make: Makes, tmp_path: Path) -> None:
    sliced = packed(tmp_path, "slice", "slice")
    leaves, stays = declaring(make, elsewhere=no_worker, may_leave=lambda: True), declaring(make, elsewhere=no_worker)
    assert isinstance(leaves.host_for("e", sliced), ProcessHost)
    assert isinstance(stays.host_for("e", sliced), BodyHost)


@pytest.mark.parametrize(
    "modes",
    [(), ("slice", "refused"), ("slice", "beside")],
    ids=["no worker is asked", "it cannot be sliced", "it reads its file"],
)
def test_what_cannot_leave_stays_with_its_live_functions(make: Makes, tmp_path: Path, modes: tuple[str, ...]) -> None:
    hosts = declaring(make, elsewhere=no_worker if modes else None, may_leave=lambda: True)
    assert isinstance(hosts.host_for("e", packed(tmp_path, *(modes or ("slice",)))), BodyHost)


def test_recorded_bodies_of_which_one_cannot_travel_stay_on_this_machine(make: Makes, tmp_path: Path) -> None:
    begun: list[str] = []
    owner = Owner(no_worker, no_worker, no_worker, lambda: False)

    def near() -> Any:
        begun.append("near")

    def elsewhere(*given: object) -> Any:
        begun.append("elsewhere")

    for modes in (("slice", "refused"), ("slice", "beside"), ("slice", "slice")):
        declaring(make, elsewhere=elsewhere)._place(packed(tmp_path, *modes), near, owner)
    assert begun == ["near", "near", "elsewhere"]
