"""What containers of an image have compiled, for those that come after: see `executors.opening`.

The first container of an image pays for itself alone, the second is asked to tell what it compiled, and later ones
are handed it.
"""

from __future__ import annotations

import binascii
import os
import threading
from contextlib import suppress
from pathlib import Path

from twingraph.core.hashing import content_hash
from twingraph.executors.one_file import edition

# Of as many images and versions of the runner; each is half a megabyte.
_MOST = 24


class Compiled:
    """Any thread may call it. What is lost or damaged is made anew; a container trusts nothing that does not fit it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, bytes] = {}
        self._asked: set[str] = set()
        self._lock = threading.Lock()

    def of(self, image: str, python: str) -> tuple[bytes, bool]:
        """What is kept of it; and whether the container shall tell what it compiles."""
        name = _name_of(image, python)
        with self._lock:
            if name not in self._known:
                kept = self._read(name)
                if kept is None:
                    self._write(name, b"")
                    return b"", False
                if not kept:
                    asked_already = name in self._asked
                    self._asked.add(name)
                    return b"", not asked_already
                self._known[name] = kept
            return self._known[name], False

    def take(self, image: str, python: str, told: str) -> None:
        """`told` is base64; an empty one says that it told nothing."""
        name = _name_of(image, python)
        with self._lock:
            self._asked.discard(name)
            with suppress(binascii.Error, ValueError):
                data = binascii.a2b_base64(told)
                if data:
                    self._known[name] = data
                    self._write(name, data)

    def _read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def _write(self, name: str, data: bytes) -> None:
        with suppress(OSError):  # a full disk costs time, nothing else
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = self._folder / f"{name}.{os.getpid()}"
            fresh.write_bytes(data)
            fresh.replace(self._folder / name)
            for old in sorted(self._folder.iterdir(), key=lambda path: -path.stat().st_mtime)[_MOST:]:
                old.unlink()


def _name_of(image: str, python: str) -> str:
    return content_hash(f"{edition()}\n{image}\n{python}".encode())[:32]
