"""What is in the repository speaks of the project alone: no path of one machine, no address of a registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Put together here, so that this file does not find itself.
REGISTRIES = [
    ".".join(words) for words in (("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs"), ("conda", "io"))
]
HOMES = re.compile(r"(?<![\w.~$}>-])/" + r"(?:home/\w+|Users/\w+|root|work|opt/wheels)/")
BINARY = {".png", ".ico", ".woff2", ".npy", ".parquet", ".db"}


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


def findings(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_path_of_one_machine() -> None:
    assert findings(HOMES) == []


def test_not_even_the_path_of_this_one() -> None:
    assert findings(re.compile(re.escape(str(ROOT)) + r"\b")) == []


def test_no_address_of_a_registry() -> None:
    assert findings(re.compile("|".join(map(re.escape, REGISTRIES)))) == []


@pytest.mark.parametrize("line", ["see /" + "home/ada/x.py", "'/" + "root/x'", "cd /" + "work/main/"])
def test_the_search_would_notice(line: str) -> None:
    assert HOMES.search(line)


def test_no_file_is_left_in_conflict() -> None:
    assert findings(re.compile(r"^(?:<{7}|>{7}) ")) == []
