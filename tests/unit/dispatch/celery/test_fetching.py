"""What lanes need is fetched once, and none waits for it for ever; the machine is a double."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

import pytest

from twingraph.core.errors import PermanentError
from twingraph.dispatch.base import CodeRef, Dispatch, RunSettings
from twingraph.dispatch.celery.fetching import Fetching
from twingraph.dispatch.celery.messages import Offer

CODE = CodeRef(version="v", bundle_path="", interpreter="", working_dir="")


class Machine:
    def __init__(self) -> None:
        self.answers = threading.Event()
        self.lacks: str | None = None
        self.breaks: BaseException | None = None
        self.threads = True
        self.asked: list[str] = []

    def code_of(self, offer: Offer) -> CodeRef:
        self.asked.append(offer.version)
        if offer.version == "slow":
            assert self.answers.wait(10)
        if self.breaks is not None:
            raise self.breaks
        if self.lacks:
            raise PermanentError(self.lacks)
        return CODE

    def pool_of(self, offer: Offer) -> Dispatch:
        return cast(Dispatch, offer.place)

    def spoke(self, place: str, desk: str) -> None: ...

    def clear(self, place: str, execution: str) -> None: ...


class Scene:
    def __init__(self, machine: Machine, patience: float) -> None:
        self.fetching = Fetching(asyncio.get_running_loop(), machine, patience=patience, aside=self._aside)
        self._machine = machine
        self.wrong = 0  # so many cannot begin with what they have
        self.became: list[str] = []
        self.came = asyncio.Event()

    def _aside(self, act: Callable[[], None]) -> None:
        if not self._machine.threads:
            raise RuntimeError("can't start new thread")
        threading.Thread(target=act, daemon=True).start()

    def use(self, version: str) -> None:
        settings = RunSettings(component="c", entry="c")
        offer = Offer(
            id="1",
            desk="d",
            place="p",
            key="k",
            execution="e",
            version=version,
            description="",
            settings=settings,
            runs=[],
        )
        self.fetching.use(
            offer,
            lambda code, pool: self._begin(),
            failed=lambda error: self._became(str(error)),
            late=lambda: self._became("late"),
        )

    def _begin(self) -> None:
        if self.wrong:
            self.wrong -= 1
            raise OSError("it cannot begin")
        self._became("begins")

    def _became(self, what: str) -> None:
        self.became.append(what)
        self.came.set()

    async def until(self, count: int) -> None:
        while len(self.became) < count:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 10)


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine()
    yield made
    made.answers.set()


def play(machine: Machine, act: Callable[[Scene], Awaitable[None]], patience: float = 10) -> list[str]:
    async def main() -> list[str]:
        scene = Scene(machine, patience)
        await act(scene)
        return scene.became

    return asyncio.run(main())


def test_what_is_there_begins_at_once(machine: Machine) -> None:
    async def act(scene: Scene) -> None:
        scene.use("quick")
        await scene.until(1)
        scene.use("quick")
        assert scene.became == ["begins", "begins"]

    play(machine, act)
    assert machine.asked == ["quick"]


def test_what_hangs_holds_up_nothing_else(machine: Machine) -> None:
    async def act(scene: Scene) -> None:
        scene.use("slow")
        scene.use("quick")
        await scene.until(1)
        machine.answers.set()
        await scene.until(2)

    assert play(machine, act) == ["begins", "begins"]


def test_what_has_waited_for_too_long_goes_back_and_the_fetching_goes_on(machine: Machine) -> None:
    async def act(scene: Scene) -> None:
        scene.use("slow")
        scene.use("slow")
        await scene.until(2)
        assert scene.became == ["late", "late"]
        machine.answers.set()
        while "begins" not in scene.became:  # whoever comes meanwhile waits for the same
            count = len(scene.became)
            scene.use("slow")
            await scene.until(count + 1)

    play(machine, act, patience=0.02)
    assert machine.asked == ["slow"]


def test_who_comes_after_a_failure_tries_again(machine: Machine) -> None:
    async def act(scene: Scene) -> None:
        machine.lacks = "no bundle"
        scene.use("quick")
        await scene.until(1)
        machine.lacks = None
        scene.use("quick")
        await scene.until(2)

    assert play(machine, act) == ["no bundle", "begins"]
    assert machine.asked == ["quick", "quick"]


def test_a_machine_without_a_thread_says_so_and_who_comes_later_tries_again(machine: Machine) -> None:
    async def act(scene: Scene) -> None:
        machine.threads = False
        scene.use("quick")
        assert scene.became == ["can't start new thread"]
        machine.threads = True
        scene.use("quick")
        await scene.until(2)

    assert play(machine, act) == ["can't start new thread", "begins"]


def test_whatever_breaks_the_fetching_is_told(machine: Machine) -> None:
    async def act(scene: Scene) -> None:
        machine.breaks = SystemExit(3)
        scene.use("quick")
        await scene.until(1)

    assert play(machine, act) == ["SystemExit: 3"]


def test_of_many_that_wait_one_that_cannot_begin_keeps_no_other_from_it(machine: Machine) -> None:
    async def act(scene: Scene) -> None:
        scene.wrong = 1
        for _ in range(3):
            scene.use("slow")
        machine.answers.set()
        await scene.until(3)
        scene.wrong = 1
        scene.use("slow")

    assert play(machine, act) == ["it cannot begin", "begins", "begins", "it cannot begin"]
