"""The peers' virtual environments: made on demand, kept under a name that holds the hash of what is in them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from benchmarks.base import System

PEERS = Path(__file__).parent / "peers"
_COMPLETE = "complete"


class NotInstallableError(Exception):
    """A peer's environment could not be made; the message is the end of what the installer said."""


def interpreter(system: type[System], python: str, ours: str, cache: Path) -> str:
    """The Python to run `system` with: its own environment's, made now if need be."""
    if system.lock is None:
        return ours if system.ours else python
    lock = PEERS / f"{system.lock}.txt"
    key = hashlib.sha256(lock.read_bytes() + _identity(python)).hexdigest()[:16]
    folder = cache / f"{system.lock}-{key}"
    inside = str(folder / "bin" / "python")
    if (folder / _COMPLETE).exists():
        return inside
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run(python, "-m", "venv", str(folder))
    # The lock is complete; left to follow dependencies, some pips reject extras that the lock does not repeat.
    _run(inside, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--require-hashes", "-r", str(lock))
    (folder / _COMPLETE).touch()
    return inside


def version(system: type[System], python: str) -> str:
    """The version of what is measured, as its environment tells it."""
    if system.distribution is None:
        code = "import platform; print(platform.python_version())"
    else:
        code = f"import importlib.metadata as m; print(m.version({system.distribution!r}))"
    if system.ours:
        return (
            subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()
            or "source tree"
        )
    return _run(python, "-c", code).strip()


def _identity(python: str) -> bytes:
    return _run(python, "-c", "import sys; print(sys.base_prefix, sys.version)").encode()


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotInstallableError(str(error)) from error
    if done.returncode:
        raise NotInstallableError((done.stderr or done.stdout).strip()[-400:])
    return done.stdout
