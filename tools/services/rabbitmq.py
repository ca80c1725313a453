"""RabbitMQ, beside any that the machine has: own node, own cookie, own name server, loopback only."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL
from typing import Dict, List, Optional

from tools.services import apt
from tools.services.base import Service, ServiceError
from tools.services.places import port_of

# The program itself. What is on the search path asks for another user, and forgets the environment on the way.
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
GREETING = b"AMQP\x00\x00\x09\x01"
CONFIGURATION = """\
loopback_users = none
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
log.console = true
log.file = false
"""


class RabbitMQ(Service):
    name = "rabbitmq"

    def cannot(self) -> Optional[str]:
        if sys.platform == "linux" and (self.installed() or apt.can_install()):
            return None
        return f"there is no {PROGRAM} on this machine, and no apt-get as root to install one"

    def installed(self) -> bool:
        return os.access(str(PROGRAM), os.X_OK)

    def fetch(self) -> None:
        apt.install("RabbitMQ", "rabbitmq-server")

    def prepare(self) -> None:
        for part in ("home", "kept", "logs"):
            (self.data / part).mkdir(parents=True, exist_ok=True)
        for part in ("nodes", "names"):
            (self.folder / part).mkdir(exist_ok=True)
        self._begin_names()
        port_of(self.folder / "nodes")
        (self.data / "rabbitmq.conf").write_text(CONFIGURATION)
        (self.data / "plugins").write_text("[].\n")

    def command(self, port: int) -> List[str]:
        return [str(PROGRAM)]

    def surroundings(self) -> Dict[str, str]:
        return {
            "HOME": str(self.data / "home"),  # of the cookie
            "LC_ALL": "C.UTF-8",
            "RUNNING_UNDER_SYSTEMD": "1",  # else a shell stands between, and a killed shell leaves its server behind
            "RABBITMQ_NODENAME": "twingraph@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port()),
            "RABBITMQ_DIST_PORT": _noted(self.folder / "nodes"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONFIG_FILE": str(self.data / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.data / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.data / "kept"),
            "RABBITMQ_LOG_BASE": str(self.data / "logs"),
            "ERL_EPMD_PORT": _noted(self.folder / "names"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def answers(self, port: int) -> bool:
        """It listens only once it has begun, and then greets back with the first frame of a method."""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
                link.sendall(GREETING)
                return link.recv(1) == b"\x01"
        except OSError:
            return False

    def environment(self, port: int) -> Dict[str, str]:
        return {"TWINGRAPH_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{port}//"}

    # Its name server is a process of its own, which would outlive it with its lock; so it is ours to start and end.

    def _stop(self) -> None:
        super()._stop()
        self._end_names()

    def _begin_names(self) -> None:
        self._end_names()
        port = port_of(self.folder / "names")
        command = ["epmd", "-address", "127.0.0.1", "-port", str(port)]
        names = subprocess.Popen(
            command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, cwd=os.sep, start_new_session=True
        )
        deadline = time.monotonic() + 10
        while not _listens(port):
            if names.poll() is not None or time.monotonic() > deadline:
                raise ServiceError(f"the name server of RabbitMQ (epmd) did not start on port {port}")
            time.sleep(0.01)
        names.returncode = 0  # it outlives whoever started it

    def _end_names(self) -> None:
        with suppress(FileNotFoundError):
            words = [b"epmd", b"-address", b"127.0.0.1", b"-port", _noted(self.folder / "names").encode(), b""]
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    with suppress(OSError):
                        if (entry / "cmdline").read_bytes().split(b"\0") == words:
                            os.kill(int(entry.name), signal.SIGKILL)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


def _noted(folder: Path) -> str:
    return (folder / "port").read_text()
