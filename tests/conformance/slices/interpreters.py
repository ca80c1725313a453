"""The Pythons of this machine, by version."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

Version = tuple[int, int]


@functools.cache
def interpreter(version: Version) -> str:
    """The program of that version, or of the next newer one that is here."""
    if version == sys.version_info[:2]:
        return sys.executable
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    for minor in range(version[1], 20):
        name = f"{version[0]}.{minor}"
        candidates = [str(folder / "bin" / "python") for folder in sorted(root.glob(f"{name}.*"))]
        on_path = shutil.which(f"python{name}")
        for candidate in [*candidates, *([on_path] if on_path else [])]:
            if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
                return candidate
    raise LookupError(f"no Python {version[0]}.{version[1]} or newer is installed")
