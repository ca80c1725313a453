"""Finds the Pythons of this machine. Read by whatever Python starts the set-up, so its syntax stays old."""

import glob
import os
import shutil
import subprocess
import sys
from typing import Dict, List, NamedTuple, Optional, Tuple

OLDEST = (3, 11)
NEWEST_KNOWN = (3, 20)

# A shim on PATH may exist for a Python that is not chosen, and a distribution may ship one without `venv`:
# only a Python that answers this can make an environment.
PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"


class Python(NamedTuple):
    version: Tuple[int, int]
    path: str

    @property
    def name(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def ask(path: str, probe: str = PROBE) -> Optional[Python]:
    try:
        # From a neutral folder: a `.python-version` or a module in the current one must not change the answer.
        answer = subprocess.run(
            [path, "-I", "-c", probe], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, cwd=os.sep
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = answer.stdout.decode().split("\n")
    if answer.returncode != 0 or len(lines) < 2:
        return None
    major, minor = lines[0].split(".")
    return Python((int(major), int(minor)), lines[1])


def candidates(version: Tuple[int, int]) -> List[str]:
    major, minor = version
    name = f"python{major}.{minor}"
    root = os.environ.get("PYENV_ROOT") or os.path.join(os.path.expanduser("~"), ".pyenv")
    kept = os.path.join(root, "versions", f"{major}.{minor}.*", "bin", name)
    on_path = shutil.which(name)
    return ([on_path] if on_path else []) + sorted(glob.glob(kept), reverse=True)


def find(version: Tuple[int, int], probe: str = PROBE) -> Optional[Python]:
    """The Python of this version, or None where the machine has none that works."""
    for path in candidates(version):
        python = ask(path, probe)
        if python is not None and python.version == version:
            return python
    return None


def running() -> Optional[Python]:
    """The Python behind the one that reads this, if it is new enough to develop with."""
    if sys.version_info[:2] < OLDEST:
        return None
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    return ask(base)


def main_python() -> Python:
    """The Python that `.venv` is made with: the one that runs the set-up, else the oldest that we support."""
    python = running()
    if python is not None:
        return python
    for version in supported():
        python = find(version)
        if python is not None:
            return python
    raise SystemExit("TwinGraph needs Python 3.11 or newer (with its venv module), and none was found on this machine.")


def supported() -> List[Tuple[int, int]]:
    return [(3, minor) for minor in range(OLDEST[1], NEWEST_KNOWN[1] + 1)]


def further(main: Python) -> Dict[Tuple[int, int], Python]:
    """Every other supported Python of this machine, by version."""
    found = {version: find(version) for version in supported() if version != main.version}
    return {version: python for version, python in found.items() if python is not None}
