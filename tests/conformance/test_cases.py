"""The matrix: every case on every pair of dispatch and platform. A later executor adds a column, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.conformance.cases import CASES, Bed
from tests.conformance.lacks import LACKS
from tests.conformance.matrix import drawn
from tests.support.brokers import HAS_RABBITMQ, HAS_REDIS
from tests.support.docker import IMAGE, IS_HERE, Engine
from tests.support.workers import Party, party
from twingraph import wiring
from twingraph.settings import load

PAIRS = (
    ("embedded", "local"),
    ("embedded", "docker"),
    ("embedded", "docker warm"),
    ("celery-redis", "local"),
    ("celery-rabbitmq", "local"),
    ("celery-redis", "docker"),
)
# What each half of a pair runs on, where it is on this machine.
HERE = {
    "embedded": True,
    "celery-redis": HAS_REDIS,
    "celery-rabbitmq": HAS_RABBITMQ,
    "local": True,
    "docker": IS_HERE,
    "docker warm": IS_HERE,
}
Make = Callable[[pytest.FixtureRequest, Path, Path], Bed]


def local(request: pytest.FixtureRequest, home: Path, shared: Path) -> Bed:
    runtime = wiring.runtime(settings=load({"home": str(home), "workers": 4}))
    return Bed(runtime, home, shared, str(shared), {}, {}, lambda execution: 0)


def docker(request: pytest.FixtureRequest, home: Path, shared: Path) -> Bed:
    engine: Engine = request.getfixturevalue("docker_engine")
    runtime = wiring.runtime(settings=load({"home": str(home), "workers": 1}))
    settings = {"platform": "docker", "docker_image": IMAGE}
    mounted = {**settings, "platform_config": {"volumes": {str(shared): "/shared"}}}
    return Bed(runtime, home, shared, "/shared", settings, mounted, lambda execution: len(engine.containers(execution)))


def warm(request: pytest.FixtureRequest, home: Path, shared: Path) -> Bed:
    """What is alive of an execution there is no container: it is what runs in one beside its first process."""
    bed = docker(request, home, shared)
    engine: Engine = request.getfixturevalue("docker_engine")

    def busy(execution: str) -> int:
        return sum(engine.processes(name) > 1 for name in engine.warm(home))

    settings = {**bed.settings, "platform_config": {"warm": 20}}
    mounted = {**bed.mounted, "platform_config": {**bed.mounted["platform_config"], "warm": 20}}
    return replace(bed, settings=settings, mounted=mounted, alive=busy)


@pytest.fixture(scope="session")
def parties(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Party]]:
    """A broker and its worker, begun when somebody asks for them. It has the engine too, where there is one."""
    made: dict[str, Party] = {}
    if IS_HERE:
        request.getfixturevalue("docker_engine")
    with ExitStack() as last:

        def give(broker: str) -> Party:
            if broker not in made:
                made[broker] = last.enter_context(party(broker, tmp_path_factory.mktemp(broker)))
                made[broker].begin("--concurrency", "4").wait_ready()
            return made[broker]

        yield give


def celery(broker: str, request: pytest.FixtureRequest, home: Path, shared: Path) -> Bed:
    give: Callable[[str], Party] = request.getfixturevalue("parties")
    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    for name, value in give(broker).surroundings.items():
        patch.setenv(name, value)
    runtime = wiring.runtime(settings=load({"home": str(home), "dispatch": "celery"}))
    request.addfinalizer(partial(wiring.close_all, wait=False))  # before its broker ends
    return Bed(runtime, home, shared, str(shared), {}, {}, lambda execution: 0)


def celery_docker(broker: str, request: pytest.FixtureRequest, home: Path, shared: Path) -> Bed:
    """The worker's engine is that of this machine, so that a folder can be mounted."""
    engine: Engine = request.getfixturevalue("docker_engine")
    settings = {"platform": "docker", "docker_image": IMAGE}
    mounted = {**settings, "platform_config": {"volumes": {str(shared): "/shared"}}}
    bed = celery(broker, request, home, shared)
    return replace(
        bed,
        place="/shared",
        settings=settings,
        mounted=mounted,
        alive=lambda execution: len(engine.containers(execution)),
    )


MAKERS: dict[tuple[str, str], Make] = {
    ("embedded", "local"): local,
    ("embedded", "docker"): docker,
    ("embedded", "docker warm"): warm,
    ("celery-redis", "local"): partial(celery, "redis"),
    ("celery-rabbitmq", "local"): partial(celery, "rabbitmq"),
    ("celery-redis", "docker"): partial(celery_docker, "redis"),
}
CELLS = [
    pytest.param(
        pair,
        name,
        id=f"{pair[0]}-{pair[1].replace(' ', '-')}-{name}",
        marks=pytest.mark.only_where(
            all(HERE[half] for half in pair) and (*pair, name) not in LACKS,
            LACKS.get((*pair, name)) or f"needs what {' and '.join(pair)} run on: python -m tools.services install",
        ),
    )
    for pair in PAIRS
    for name in CASES
]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o777)
    return folder


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("pair", "name"), CELLS)
def test_cell(request: pytest.FixtureRequest, home: Path, shared: Path, pair: tuple[str, str], name: str) -> None:
    CASES[name](MAKERS[pair](request, home, shared))


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.only_where(IS_HERE and HAS_RABBITMQ, "needs a Docker engine and RabbitMQ")
def test_every_promise_of_containers_behind_rabbitmq(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Behind Redis they are in the matrix; what a broker changes of them is told by the cells without containers."""
    for name, act in CASES.items():
        if ("celery-redis", "docker", name) not in LACKS:
            place = tmp_path / name
            (place / "shared").mkdir(parents=True)
            act(celery_docker("rabbitmq", request, place / "home", place / "shared"))


def test_what_is_lacking_is_a_case_of_a_pair() -> None:
    known = {(*pair, name) for pair in PAIRS for name in CASES}
    assert known >= LACKS.keys()


def test_the_matrix_tells_how_each_fared() -> None:
    first, second = PAIRS[:2]
    fared = {(*first, "one"): "held", (*first, "two"): "FAILED"}
    lines = drawn((first, second), ["one", "two"], fared, {(*second, "one"): "why"}).splitlines()
    assert [line.split() for line in lines[2:4]] == [["one", "held", "-"], ["two", "FAILED"]]
    assert lines[4].endswith(": why")
