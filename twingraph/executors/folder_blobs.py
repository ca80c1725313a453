"""Blobs as files of two folders: those that a run was given, and those that it makes. Python 3.8 syntax.

What the codec asks of a blob store, where there is none: `store.blobs.base` says what each means.
"""

from __future__ import annotations

import os
from typing import Any

from twingraph.core.hashing import content_hash, hasher


class FolderBlobs:
    def __init__(self, given: str, made: str) -> None:
        self._given = given
        self._made = made
        self._count = 0

    def put(self, data: Any) -> str:
        digest = content_hash(data)
        if self.path(digest) is None:
            with self.writer() as writer:
                writer.write(data)
                writer.commit()
        return digest

    def read(self, digest: str) -> bytes:
        path = self.path(digest)
        if path is None:
            raise LookupError("blob " + digest + " was not brought here")
        with open(path, "rb") as file:
            return file.read()

    def path(self, digest: str) -> str | None:
        for folder in (self._given, self._made):
            path = os.path.join(folder, digest)
            if os.path.exists(path):
                return path
        return None

    def exists(self, digest: str) -> bool:
        return self.path(digest) is not None

    def writer(self) -> FileWriter:
        self._count += 1
        os.makedirs(self._made, exist_ok=True)
        return FileWriter(self._made, os.path.join(self._made, f".{os.getpid()}-{self._count}"))


class FileWriter:
    """A blob being written; it has its name when it is whole."""

    def __init__(self, folder: str, path: str) -> None:
        self._folder = folder
        self._path = path
        self._file = open(path, "wb")  # noqa: SIM115 - closed by commit or on the way out
        self._hash = hasher()
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._file.write(view)
        self._hash.update(view)
        self.size += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        self._file.flush()

    def commit(self) -> str:
        self._file.close()
        digest = str(self._hash.hexdigest())
        os.replace(self._path, os.path.join(self._folder, digest))
        self.closed = True
        return digest

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.closed:
            self._file.close()
            os.unlink(self._path)
            self.closed = True
