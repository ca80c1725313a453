"""A Docker engine of our own, beside any that the machine has: own data, own socket, own bridge, loopback only.

The machine's firewall is not touched, so a container on the bridge reaches this machine and no other. The engine runs
as root; a machine where that is not possible has no such service.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, Optional

from tools.services import apt, images
from tools.services.base import Service, ServiceError, run

PROGRAMS = ("dockerd", "containerd", "runc", "docker")
PACKAGES = ("docker.io", "busybox-static", "iproute2")
PATH = os.pathsep.join(("/usr/sbin", "/usr/bin", "/sbin", "/bin"))
LONGEST_SOCKET = 107  # bytes of a path that a Unix socket can have


class Docker(Service):
    name = "docker"

    def cannot(self) -> Optional[str]:
        if sys.platform != "linux" or os.geteuid() != 0:
            return "a Docker engine needs Linux and root"
        if not apt.can_install() and not self.installed():
            return "there is no Docker engine on this machine, and no apt-get to install one with"
        return None

    # What it is.

    def installed(self) -> bool:
        return all(_program(name) for name in (*PROGRAMS, "busybox", "ip"))

    def fetch(self) -> None:
        reason = self.cannot()
        if reason is not None:
            raise ServiceError(reason)
        apt.install("a Docker engine", *PACKAGES)

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    @property
    def bridge(self) -> str:
        return "twg" + hashlib.sha256(str(self.folder).encode()).hexdigest()[:6]

    @property
    def gateway(self) -> str:
        """How a container on the bridge calls this machine."""
        return f"10.213.{hashlib.sha256(str(self.folder).encode()).digest()[0]}.1"

    def prepare(self) -> None:
        if len(os.fsencode(str(self.socket))) > LONGEST_SOCKET:
            raise ServiceError(f"{self.socket} is too long a path for a socket; set TWINGRAPH_CACHE to a shorter one")
        self._bury()
        self.data.mkdir(parents=True, exist_ok=True)
        forwarding = Path("/proc/sys/net/ipv4/ip_forward")
        if forwarding.read_text().strip() != "1":
            forwarding.write_text("1")
        ip = str(_program("ip"))
        if not Path("/sys/class/net", self.bridge).exists():
            run([ip, "link", "add", self.bridge, "type", "bridge"], "making the bridge")
            run([ip, "addr", "add", f"{self.gateway}/24", "dev", self.bridge], "naming the bridge")
        run([ip, "link", "set", self.bridge, "up"], "bringing the bridge up")

    def command(self, port: int) -> List[str]:
        folders = ["--data-root", str(self.data), "--exec-root", str(self.folder / "exec")]
        files = ["--pidfile", str(self.folder / "dockerd.pid"), "--host", f"unix://{self.socket}"]
        network = ["--bridge", self.bridge, "--iptables=false", "--ip-masq=false", "--host-gateway-ip", self.gateway]
        return [str(_program("dockerd")), *folders, *files, *network, "--shutdown-timeout", "2"]

    def surroundings(self) -> Dict[str, str]:
        return {"PATH": PATH}

    def answers(self, port: int) -> bool:
        return self.ask("version").returncode == 0

    def furnish(self, port: int) -> None:
        images.make(self.environment(port), self.folder.parent.parent / "programs")

    def environment(self, port: int) -> Dict[str, str]:
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def ask(self, *words: str) -> "subprocess.CompletedProcess[bytes]":
        """A word to the engine by its own command line."""
        surroundings = {**os.environ, **self.environment(0)}
        return subprocess.run(
            [str(_program("docker")), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=surroundings,
        )

    # How it is looked after: what it starts inherits its lock, and may outlive it.

    def running(self) -> bool:
        """Whether the engine itself lives. What it left behind when it was killed does not count."""
        with suppress(OSError, ValueError):
            words = Path(f"/proc/{self.pid()}/cmdline").read_bytes().split(b"\0")
            return words[0].endswith(b"dockerd") and os.fsencode(str(self.data)) in words
        return False

    def _stop(self) -> None:
        if self.running():
            alive = self.ask("ps", "--quiet").stdout.decode().split()
            if alive:
                self.ask("kill", *alive)
        super()._stop()
        self._bury()
        if Path("/sys/class/net", self.bridge).exists():
            run([str(_program("ip")), "link", "del", self.bridge], "removing the bridge")

    def _bury(self) -> None:
        """What an engine leaves that was killed: its containers, their guardians and its mounts."""
        root = os.fsencode(str(self.folder / "exec"))
        for process in _processes_that_name(root):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while _processes_that_name(root) and time.monotonic() < deadline:
            time.sleep(0.02)
        places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in sorted((place for place in places if place.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "-l", place], stderr=subprocess.DEVNULL)
        shutil.rmtree(str(self.folder / "exec"), ignore_errors=True)
        for name in ("dockerd.pid", "docker.sock"):
            (self.folder / name).unlink(missing_ok=True)


def _program(name: str) -> Optional[str]:
    return shutil.which(name, path=PATH)


def _processes_that_name(root: bytes) -> List[int]:
    """containerd and its shims that belong to one engine; those that have ended name nothing any more."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes()
                if root + b"/" in words and b"containerd" in words.split(b"\0")[0]:
                    found.append(int(entry.name))
    return found
