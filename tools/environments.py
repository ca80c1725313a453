"""Makes virtual environments from the locks, once: a stamp remembers what an environment was made from."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

from tools.pythons import Python, main_python

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
LEVELS = {"run": ["base.txt"], "dev": ["dev.txt"]}  # the development lock holds the base one


def say(text: str) -> None:
    sys.stderr.write("setup: " + text + "\n")
    sys.stderr.flush()


class Environment:
    """One virtual environment of the checkout."""

    def __init__(self, folder: str, python: Python) -> None:
        self.folder = ROOT / folder
        self.python = python

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def interpreter(self) -> str:
        return str(self.bin / "python")

    def ensure(self, level: str) -> None:
        """Bring the environment to this level, or past it; does nothing when it is there already."""
        if any(self._stamp(other).exists() for other in LEVELS if other in (level, "dev")):
            return
        if not self._same_python():
            say(f"making {self.folder.name} with Python {self.python.name}")
            shutil.rmtree(str(self.folder), ignore_errors=True)
            subprocess.run([self.python.path, "-m", "venv", str(self.folder)], check=True)
            (self.folder / "made-with").write_text(self.python.path)
        say(f"installing the locked packages ({level}) into {self.folder.name}")
        self._install(level)
        for old in self.folder.glob("stamp-*"):
            old.unlink()
        self._stamp(level).touch()

    def _same_python(self) -> bool:
        note = self.folder / "made-with"
        return note.exists() and note.read_text() == self.python.path and os.access(self.interpreter, os.X_OK)

    def _stamp(self, level: str) -> Path:
        """Named after all that the environment is made from, so that a change of any of it makes it stale."""
        digest = hashlib.sha256((self.python.path + level).encode())
        for name in ["installer.txt", *LEVELS[level]]:
            digest.update((LOCKS / name).read_bytes())
        digest.update((ROOT / "pyproject.toml").read_bytes())
        return self.folder / (f"stamp-{level}-{digest.hexdigest()[:16]}")

    def _install(self, level: str) -> None:
        self._pip(["install", "--require-hashes", "--only-binary", ":all:", "-r", str(LOCKS / "installer.txt")])
        locks = [argument for name in LEVELS[level] for argument in ("-r", str(LOCKS / name))]
        packages = ["install", "--require-hashes", *locks]
        if not self._uv(packages):
            say("the fast installer could not; trying pip")
            self._pip(packages)
        # The build backend came with the lock, so nothing is fetched that has no hash.
        self._pip(["install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])

    def _pip(self, arguments: List[str]) -> None:
        command = [self.interpreter, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
        subprocess.run(command, check=True, cwd=str(ROOT))

    def _uv(self, arguments: List[str]) -> bool:
        command = [str(self.bin / "uv"), "--quiet", "pip", *arguments, "--python", self.interpreter]
        return subprocess.run(command, cwd=str(ROOT), env=uv_environment()).returncode == 0


def uv_environment() -> Dict[str, str]:
    """uv reads none of pip's settings; where a machine has set pip up, uv follows."""
    environment = dict(os.environ)
    for ours, theirs in (
        ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"),
        ("UV_FIND_LINKS", "PIP_FIND_LINKS"),
        ("SSL_CERT_FILE", "PIP_CERT"),
    ):
        if theirs in environment:
            environment.setdefault(ours, environment[theirs])
    return environment


def environment_of(python: Python, *, main: bool) -> Environment:
    return Environment(".venv" if main else ".venv-" + python.name, python)


def main() -> int:
    environment_of(main_python(), main=True).ensure(sys.argv[1] if len(sys.argv) > 1 else "run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
