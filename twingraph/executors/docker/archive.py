"""What travels into a container and out of it: the runner's folder, as tar archives."""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from twingraph.core.codec import refs
from twingraph.core.codec_base import dumps
from twingraph.core.errors import CodecError
from twingraph.executors import one_file
from twingraph.executors.base import Task
from twingraph.executors.docker.request import FOLDER, token_of
from twingraph.store.blobs.base import BlobStore

_IN_MEMORY = 8 << 20
_PIECE = 1 << 20
_HASH = re.compile("[0-9a-f]{64}")
_TEXTS = ("answer", "ending")
# Whoever says more than this is not our runner.
_LARGEST_TEXT = 1 << 30


def going_in(task: Task, name: str, passed: Iterable[str], blobs: BlobStore) -> IO[bytes]:
    """The archive for the root of a container. `passed` are variables that the container itself was given."""
    payload = {
        "entry": task.entry,
        "config": task.options,
        "execution": task.execution,
        "node": task.node,
        "attempt": task.attempt,
        "environment": {key: value for key, value in task.environment.items() if key not in set(passed)},
        "secrets": list(task.secrets),
        "timeout": task.timeout,
        "generator": task.generator,
        "token": token_of(name),
        "args": [list(pair) for pair in task.args],
    }
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=file, mode="w") as archive:
        root = FOLDER.lstrip("/")
        for folder in (root, f"{root}/blobs", f"{root}/out"):
            archive.addfile(_entry(folder, 0, folder=True))
        _add(archive, f"{root}/run.py", one_file.text().encode())
        _add(archive, f"{root}/bundle.json", Path(task.bundle_path).read_bytes())
        _add(archive, f"{root}/payload.json", dumps(payload).encode("utf-8", "replace"))
        for digest in _needed(task, blobs):
            with blobs.open(digest) as blob:
                size = blob.seek(0, io.SEEK_END)
                blob.seek(0)
                archive.addfile(_entry(f"{root}/blobs/{digest}", size), blob)
    file.seek(0)
    return file


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


def _entry(name: str, size: int, *, folder: bool = False) -> tarfile.TarInfo:
    """Whoever the container's user is, it may read all and leave results: nobody else is in there."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o777 if folder else 0o644
    if folder:
        entry.type = tarfile.DIRTYPE
    return entry


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    archive.addfile(_entry(name, len(data)), io.BytesIO(data))


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
