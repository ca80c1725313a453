"""Where services keep what they need, and which ports are theirs."""

import os
import socket
import sys
from pathlib import Path


def cache() -> Path:
    """`TWINGRAPH_CACHE`, else TwinGraph's folder in the user's cache folder."""
    given = os.environ.get("TWINGRAPH_CACHE")
    if given:
        return Path(given).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "twingraph"


def folder_of(service: str) -> Path:
    return cache() / "services" / service


def say(text: str) -> None:
    sys.stderr.write("services: " + text + "\n")
    sys.stderr.flush()


def port_of(folder: Path) -> int:
    """The port that this service used last, if nobody else has it now; else a free one, remembered."""
    note = folder / "port"
    if note.exists() and _is_free(int(note.read_text())):
        return int(note.read_text())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    note.write_text(str(port))
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
