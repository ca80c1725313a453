"""The two distributions build, belong together, and hold what they should."""

from __future__ import annotations

import email.message
import email.parser
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SDK = ROOT / "packages" / "twingraph-sdk"


def project(folder: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def build(folder: Path, into: Path) -> zipfile.ZipFile:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (wheel,) = into.glob("*.whl")
    return zipfile.ZipFile(wheel)


def metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.parser.Parser().parsestr(wheel.read(name).decode())


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return build(ROOT, tmp_path_factory.mktemp("library"))


def test_the_sdk_asks_for_the_library_of_its_own_version() -> None:
    version = project(ROOT)["version"]
    assert project(SDK)["version"] == version
    assert project(SDK)["dependencies"] == [f"twingraph=={version}"]
    assert "dev" in project(SDK)["optional-dependencies"]


def test_the_library_holds_the_package_and_nothing_of_the_checkout(library: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in library.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"twingraph"}
    assert "twingraph/py.typed" in library.namelist()
    assert not [name for name in library.namelist() if "__pycache__" in name]


def test_the_library_says_what_it_needs(library: zipfile.ZipFile) -> None:
    facts = metadata(library)
    assert facts["Requires-Python"] == ">=3.11"
    assert facts["License-Expression"] == "Apache-2.0"
    assert set(facts.get_all("Provides-Extra", [])) == set(project(ROOT)["optional-dependencies"])


def test_the_library_brings_its_license_and_its_command(library: zipfile.ZipFile) -> None:
    assert [name for name in library.namelist() if name.endswith("licenses/LICENSE")]
    (entry,) = (name for name in library.namelist() if name.endswith("entry_points.txt"))
    assert "twingraph = twingraph.cli:main" in library.read(entry).decode()


def test_the_sdk_has_no_module_of_its_own(tmp_path: Path) -> None:
    names = build(SDK, tmp_path).namelist()
    assert names
    assert all(".dist-info/" in name for name in names)
