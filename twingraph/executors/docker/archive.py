"""What travels into a container, as one stream (see `executors.parcel`), and out of it, as a tar archive."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO

from twingraph.core.codec import refs
from twingraph.core.codec_base import dumps, loads
from twingraph.core.errors import CodecError, StoreError
from twingraph.executors.base import Task
from twingraph.executors.parcel import head
from twingraph.store.blobs.base import BlobStore

_PIECE = 1 << 20
_HASH = re.compile("[0-9a-f]{64}")
_TEXTS = ("answer", "ending")
# Whoever says more than this is not our runner.
_LARGEST_TEXT = 1 << 30


class GoingIn:
    """One run. Making it refuses what cannot travel. `passed` are variables that the container itself has."""

    def __init__(self, task: Task, passed: Iterable[str], blobs: BlobStore) -> None:
        self._blobs = blobs
        self._needed = list(_needed(task, blobs))
        known = set(passed)
        payload = {
            "entry": task.entry,
            "config": task.options,
            "execution": task.execution,
            "node": task.node,
            "attempt": task.attempt,
            "environment": {key: value for key, value in task.environment.items() if key not in known},
            "secrets": list(task.secrets),
            "timeout": task.timeout,
            "generator": task.generator,
            "args": [list(pair) for pair in task.args],
        }
        texts = (
            (b"p", dumps(payload).encode("utf-8", "surrogatepass")),
            (b"b", code_for(task.bundle_path, task.entry)),
        )
        self._texts = b"n" + b"".join(head(kind, len(data)) + data for kind, data in texts)

    def pieces(self) -> Iterator[bytes]:
        """Of bearable size, whatever the values are."""
        if not self._needed:
            yield self._texts + head(b"e", 0)
            return
        yield self._texts
        for digest in self._needed:
            try:
                yield from self._large(digest)
            except OSError as error:  # who sends it takes one for the end of who hears it
                raise StoreError(f"blob {digest} cannot be read: {error}") from error
        yield head(b"e", 0)

    def _large(self, digest: str) -> Iterator[bytes]:
        with self._blobs.open(digest) as blob:
            size = blob.seek(0, io.SEEK_END)
            blob.seek(0)
            yield head(b"v", size, digest)
            while piece := blob.read(_PIECE):
                yield piece


@lru_cache(maxsize=4)
def code_for(bundle: str, entry: str) -> bytes:
    """What of a bundle is for this entry: slices go together, a project travels only to who needs it."""
    text = Path(bundle).read_bytes()
    whole = entry.startswith(("bundle ", "image "))
    if not whole and b'"projects":' not in text:
        return text
    found = loads(text.decode("utf-8"))
    projects = found.pop("projects", {})
    if whole:
        own = found["entries"][entry]
        found.update(modules={}, entries={entry: own})
        if "project" in own:
            found["projects"] = {own["project"]: projects[own["project"]]}
    else:
        found["entries"] = {key: one for key, one in found["entries"].items() if "project" not in one}
    return dumps(found).encode("utf-8", "replace")


def _needed(task: Task, blobs: BlobStore) -> Iterator[str]:
    """Every blob that an argument refers to, once, with what those refer to in their turn."""
    seen: set[str] = set()
    for name, text in task.args:
        if '"rung":"pickle"' in text:
            raise CodecError(
                f"{name}: a value that can only be pickled does not travel to another place; "
                "pass plain data, a dataclass, an array or a table"
            )
        for digest in refs(text, blobs=blobs):
            if digest not in seen:
                seen.add(digest)
                yield digest


class Results:
    """What a run left in its folder: its words as text; its blobs go to the store, each under its true hash."""

    def __init__(self, pieces: Iterable[bytes], blobs: BlobStore) -> None:
        self.texts: dict[str, str] = {}
        with tarfile.open(fileobj=Stream(pieces), mode="r|") as archive:
            for entry in archive:
                file = archive.extractfile(entry) if entry.isreg() else None
                if file is None:
                    continue
                name = entry.name.rpartition("/")[2]
                if _HASH.fullmatch(name):
                    self._keep(file, name, blobs)
                elif name in _TEXTS and entry.size < _LARGEST_TEXT:
                    self.texts[name] = file.read().decode("utf-8", "replace")

    def _keep(self, file: IO[bytes], name: str, blobs: BlobStore) -> None:
        with blobs.writer() as writer:
            while piece := file.read(_PIECE):
                writer.write(piece)
            digest = writer.commit()
        if digest != name:
            raise CodecError(f"a large value came out of the container damaged: blob {name} has content {digest}")


class Stream(io.RawIOBase):
    """Pieces of any size as a file that is read once."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, found = [self._rest], len(self._rest)
        while size < 0 or found < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            parts.append(piece)
            found += len(piece)
        whole = b"".join(parts)
        end = len(whole) if size < 0 else size
        self._rest = whole[end:]
        return whole[:end]
