"""The guide on testing is run: its files, in one folder, with the plugin as pytest finds it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.house.test_readme import blocks

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "testing.md"


def test_every_example_passes(tmp_path: Path) -> None:
    told = blocks(GUIDE.read_text("utf-8"))
    for block in told:
        name = block.note("file")
        assert name is not None
        (tmp_path / name).write_text(block.body, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "twingraph.testing.plugin", "--import-mode=prepend", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "TWINGRAPH_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tests = sum(len(re.findall(r"^def test_", block.body, re.MULTILINE)) for block in told)
    assert f"{tests} passed" in done.stdout


def test_the_entry_point_is_the_plugin() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"twingraph.testing.plugin": "twingraph.testing.plugin"}
