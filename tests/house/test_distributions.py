"""The two distributions build, belong together, and hold what they should."""

from __future__ import annotations

import email.message
import email.parser
import subprocess
import sys
import sysconfig
import tomllib
import venv
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


def test_the_library_brings_every_file_of_the_package(library: zipfile.ZipFile) -> None:
    """Its SQL, templates, styles and scripts too, without which an installed one would fail where a checkout works."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "twingraph"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = {name for name in listing.stdout.split("\0") if name and (ROOT / name).exists()}
    assert {Path(name).suffix for name in files} >= {".py", ".sql", ".j2", ".css", ".js", ".txt", ".typed"}
    assert files <= set(library.namelist())


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("home")
def test_an_installed_library_runs_a_new_workflow(library: zipfile.ZipFile, tmp_path: Path) -> None:
    """In a fresh environment, which borrows the third-party packages of this one but not its TwinGraph."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    library.extractall(packages := tmp_path / "installed")
    borrowed = tmp_path / "borrowed"
    borrowed.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "twingraph" not in entry.name.lower() and entry.suffix != ".pth":
            (borrowed / entry.name).symlink_to(entry)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "env")}))
    (site / "here.pth").write_text(f"{packages}\n{borrowed}\n", encoding="utf-8")

    def twingraph(*words: str) -> str:
        command = [str(python), "-P", "-m", "twingraph", *words]
        answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout + answer.stderr

    twingraph("new", "first")
    assert "the squares add up to 385" in twingraph("run", "first.py")
    twingraph("show", "last", "--html", "report.html")
    assert (tmp_path / "report.html").stat().st_size > 1000


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
