"""The matrix: every case on every pair of dispatch and platform. A later executor adds a column, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.cases import CASES, Bed
from tests.conformance.lacks import LACKS
from tests.conformance.matrix import drawn
from tests.support.docker import IMAGE, IS_HERE, Engine
from twingraph import wiring
from twingraph.settings import load

PAIRS = (("embedded", "local"), ("embedded", "docker"))
HERE = {"local": True, "docker": IS_HERE}
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


MAKERS: dict[tuple[str, str], Make] = {("embedded", "local"): local, ("embedded", "docker"): docker}
CELLS = [
    pytest.param(
        pair,
        name,
        id=f"{pair[0]}-{pair[1]}-{name}",
        marks=pytest.mark.only_where(
            HERE[pair[1]] and (*pair, name) not in LACKS,
            LACKS.get((*pair, name)) or f"needs what {pair[1]} runs on: python -m tools.services install {pair[1]}",
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


def test_the_matrix_tells_how_each_fared() -> None:
    first, second = PAIRS[:2]
    fared = {(*first, "one"): "held", (*first, "two"): "FAILED"}
    lines = drawn((first, second), ["one", "two"], fared, {(*second, "one"): "why"}).splitlines()
    assert [line.split() for line in lines[2:4]] == [["one", "held", "-"], ["two", "FAILED"]]
    assert lines[4].endswith(": why")
