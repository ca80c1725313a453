"""Copies of remote blobs as local files, so that large values can be mapped and are fetched once per machine.

Bounded: what was not asked for longest goes first, but nothing that was asked for within the last minute, since its
reader may be about to map it. (A file that is mapped already may go: its pages stay until the map is closed.)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

from twingraph.core.errors import DamagedError, NotFoundError
from twingraph.store.blobs.base import BlobWriter
from twingraph.store.blobs.local import LocalBlobs

GRACE_SECONDS = 60.0
_KEPT = "kept"
_KEPT_SECONDS = 30 * 24 * 3600
_FULL_AFTER = 0.8  # after a clearing, so much of the limit is taken at most


class ReadCache:
    """A folder that processes share. `limit`: bytes, about: each process looks after it has added a tenth of that."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self._files = LocalBlobs(None, folder=folder)
        self._limit = limit
        self._added = 0
        self._sweep_kept()

    def writer(self) -> BlobWriter:
        return self._files.writer()

    def find(self, digest: str) -> Path | None:
        """A local copy, checked once per process; None when there is none, or no good one."""
        try:
            place = self._files.path(digest)
            assert place is not None
            os.utime(place)
        except (NotFoundError, DamagedError, OSError):
            return None
        return place

    def trust(self, digest: str) -> None:
        """This process has just written it, and found its hash as it did."""
        self._files.trust(digest)

    def added(self, size: int) -> None:
        self._added += size
        if self._added >= self._limit / 10:
            self._added = 0
            self.clear()

    def forget(self, digest: str) -> None:
        self._files.delete(digest)

    def keep(self, digest: str, place: Path) -> Path:
        """Another name of a copy, which no clearing removes. For code, which is small."""
        kept = self.folder / _KEPT / digest
        kept.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            try:
                os.link(place, kept)
            except FileExistsError:
                raise
            except OSError:  # a file system without links
                part = kept.with_name(f"{digest}.{os.getpid()}")
                shutil.copyfile(place, part)
                os.replace(part, kept)
        os.utime(kept)
        return kept

    def clear(self) -> None:
        """Make room, when more is there than may be."""
        copies = sorted((info.time.timestamp(), info.size, info.hash) for info in self._files.list())
        total = sum(size for _, size, _ in copies)
        if total <= self._limit:
            return
        young = datetime.fromtimestamp(time.time() - GRACE_SECONDS, UTC)
        for _, size, digest in copies:
            if total <= self._limit * _FULL_AFTER:
                return
            if self._files.delete(digest, before=young):
                total -= size

    def _sweep_kept(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            for file in (self.folder / _KEPT).iterdir():
                with contextlib.suppress(OSError):
                    if file.stat().st_mtime < time.time() - _KEPT_SECONDS:
                        file.unlink()
