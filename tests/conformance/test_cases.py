"""The matrix: every case on every pair of dispatch and platform. A later executor adds a column, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.cases import CASES, Bed
from tests.conformance.lacks import LACKS
from tests.support.docker import IMAGE, IS_HERE, Engine
from twingraph import wiring
from twingraph.settings import load

PAIRS = (("embedded", "local"), ("embedded", "docker"), ("embedded", "docker warm"))
HERE = {"local": True, "docker": IS_HERE, "docker warm": IS_HERE}
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
    home_id = set(engine.warm())

    def busy(execution: str) -> int:
        return sum(engine.processes(name) > 1 for name in set(engine.warm()) - home_id)

    settings = {**bed.settings, "platform_config": {"warm": 20}}
    mounted = {**bed.mounted, "platform_config": {**bed.mounted["platform_config"], "warm": 20}}
    return replace(bed, settings=settings, mounted=mounted, alive=busy)


MAKERS: dict[tuple[str, str], Make] = {
    ("embedded", "local"): local,
    ("embedded", "docker"): docker,
    ("embedded", "docker warm"): warm,
}
CELLS = [
    pytest.param(
        pair,
        name,
        id=f"{pair[0]}-{pair[1].replace(' ', '-')}-{name}",
        marks=pytest.mark.only_where(
            HERE[pair[1]] and (*pair, name) not in LACKS,
            LACKS.get((*pair, name))
            or f"needs what {pair[1]} runs on: python -m tools.services install {pair[1].split()[0]}",
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


def test_what_is_lacking_is_a_case_of_a_pair() -> None:
    known = {(*pair, name) for pair in PAIRS for name in CASES}
    assert known >= LACKS.keys()


def test_the_matrix_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.conformance.matrix import drawn

    text = drawn(PAIRS, CASES, LACKS)
    assert len(text.splitlines()) == len(CASES) + 2 + len(LACKS)
    with capsys.disabled():
        print("\n" + text)
