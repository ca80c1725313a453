"""A service for as long as somebody uses it: what tests ask for.

Whoever comes first starts it, whoever leaves last stops it, over all processes and checkouts of the machine. One that
a person started (`python -m tools.services start`) stays.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import Dict, Iterator

from tools.environments import ROOT
from tools.services.base import ServiceError
from tools.services.catalog import service
from tools.services.locks import take


@contextmanager
def use(name: str) -> Iterator[Dict[str, str]]:
    """Gives the environment by which its clients reach it."""
    wanted = service(name)
    if not wanted.installed():
        raise ServiceError(f"{name} is not installed; run `python -m tools.services install {name}` once")
    wanted.folder.mkdir(parents=True, exist_ok=True)
    ours = take(wanted.folder / "users", shared=True)
    try:
        _carry_out("start", name, "--for-use")
        yield wanted.environment(wanted.port())
    finally:
        os.close(ours)
        last = take(wanted.folder / "users", wait=False)
        if last >= 0:
            try:
                if not (wanted.folder / "kept").exists():
                    _carry_out("stop", name)
            finally:
                os.close(last)


def _carry_out(*words: str) -> None:
    """By a process of its own, so that the service is nobody's child."""
    command = [sys.executable, "-m", "tools.services", *words]
    done = subprocess.run(command, cwd=str(ROOT), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise ServiceError(done.stderr.decode(errors="replace"))
