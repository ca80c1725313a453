"""Packages of the machine's own manager, brought without starting any server of theirs."""

import os
import shutil
from pathlib import Path

from tools.services.base import ServiceError, run
from tools.services.locks import locked
from tools.services.places import cache, say

POLICY = Path("/usr/sbin/policy-rc.d")  # a package asks it before it starts a server for the whole machine


def can_install() -> bool:
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def install(what: str, *packages: str) -> None:
    if not can_install():
        raise ServiceError(f"there is no {what} here, and no apt-get as root to install one; install it by hand")
    say(f"installing {what} with the machine's package manager")
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq"]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with locked(cache() / "apt"):  # services are installed side by side; the list of packages is fetched by one
        made = not POLICY.exists()
        if made:
            POLICY.write_text("#!/bin/sh\nexit 101\n")
            POLICY.chmod(0o755)
        try:
            run([*apt, "update"], "looking for packages", env=quiet)
            run([*apt, "-y", "install", "--no-install-recommends", *packages], f"installing {what}", env=quiet)
        finally:
            if made:
                POLICY.unlink()
