"""Redis that keeps what it was given in an append-only file, so that a killed one loses a second at most."""

import os
import shutil
import socket
from typing import Dict, List, Optional

from tools.services import apt
from tools.services.base import Service

PATH = os.pathsep.join(("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"))


class Redis(Service):
    name = "redis"

    def cannot(self) -> Optional[str]:
        if self.installed() or apt.can_install():
            return None
        return "there is no redis-server on this machine, and no apt-get as root to install one"

    def installed(self) -> bool:
        return _program() is not None

    def fetch(self) -> None:
        apt.install("Redis", "redis-server")

    def prepare(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)

    def command(self, port: int) -> List[str]:
        where = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(self.data)]
        return [str(_program()), *where, "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]

    def answers(self, port: int) -> bool:
        """While it still reads its file it says so, and takes nothing."""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
                link.sendall(b"PING\r\n")
                return link.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def environment(self, port: int) -> Dict[str, str]:
        return {"TWINGRAPH_BROKER_URL": f"redis://127.0.0.1:{port}/0"}


def _program() -> Optional[str]:
    return shutil.which("redis-server") or shutil.which("redis-server", path=PATH)
