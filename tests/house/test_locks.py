"""The locks pin and hash everything and name no place to fetch from, so that they hold behind any registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, GROUPS = SETTINGS["project"], SETTINGS["dependency-groups"]
ENTRY = re.compile(r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def pins(lock: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if entry := ENTRY.match(line):
            found.setdefault(entry["name"], set()).add(entry["version"])
    return found


def test_the_locks_are_these() -> None:
    assert [lock.stem for lock in LOCKS] == ["all", "base", "dev", "flink", "installer"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_holds_pins_and_hashes_and_nothing_else(lock: Path) -> None:
    lines = lock.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not (ENTRY.match(line) or HASH.match(line))] == []
    after_each_pin = [lines[index + 1] for index, line in enumerate(lines) if ENTRY.match(line)]
    assert all(HASH.match(line) for line in after_each_pin)


@pytest.mark.parametrize(
    ("lock", "groups"),
    [
        ("base", [PROJECT["dependencies"]]),
        ("dev", [PROJECT["dependencies"], GROUPS["dev"]]),
        ("installer", [GROUPS["installer"]]),
        ("flink", [PROJECT["optional-dependencies"]["flink"]]),
        ("all", [needs for name, needs in PROJECT["optional-dependencies"].items() if name not in {"all", "flink"}]),
    ],
)
def test_a_lock_satisfies_what_the_project_asks(lock: str, groups: list[list[str]]) -> None:
    have = pins(ROOT / "requirements" / f"{lock}.txt")
    for requirement in (Requirement(text) for group in groups for text in group):
        versions = have.get(requirement.name.lower(), set())
        assert versions, f"{requirement.name} is not locked: run `make lock`"
        assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)


def test_the_small_locks_agree_with_the_large_one() -> None:
    everything = pins(ROOT / "requirements" / "all.txt")
    for name in ("base", "dev"):
        for package, versions in pins(ROOT / "requirements" / f"{name}.txt").items():
            assert versions <= everything.get(package, versions)
