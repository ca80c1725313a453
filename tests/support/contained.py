"""The runner as a container has it, without the container: its folder, its one file, and any Python of this machine."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.pythons import Python, candidates, find
from twingraph.executors import one_file
from twingraph.executors.frames import FrameReader
from twingraph.executors.last_words import unheard
from twingraph.executors.parcel import head

TOKEN = "t0ken"
PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
FOUND = [python for minor in range(8, 21) if candidates((3, minor)) and (python := find((3, minor), PROBE))]
# The two that the documents name, and the newest that is here.
PYTHONS = [python for python in FOUND if python.version in ((3, 8), (3, 9)) or python is FOUND[-1]]
OUTSIDE = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OUTSIDE": "yes"}


@dataclass
class Told:
    """What was heard of a run."""

    code: int
    messages: list[Any]
    beside: bytes  # what was written to stdout past the runner
    stderr: str
    folder: Path

    def of(self, kind: str) -> list[Any]:
        return [message for message in self.messages if message[0] == kind]

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        found = [record for message in self.of("l") for record in message[1]]
        for _, said in self.of("w"):
            found += unheard(said, len(found))
        return [(level, stream, text) for _, level, stream, text in found]

    @property
    def ending(self) -> dict[str, Any]:
        found: dict[str, Any] = self.of("e")[0][1]
        return found

    @property
    def head(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "out" / "answer").read_text().split("\n")[0])
        return found

    @property
    def texts(self) -> list[str]:
        return (self.folder / "out" / "answer").read_text().split("\n")[1:]


@dataclass
class Box:
    folder: Path
    python: Python
    code: str
    given: dict[str, Any] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    kept: bytes = b""
    keep: bool = False
    sources: bytes | None = None
    bundle: dict[str, Any] | None = None  # in place of one that is made of the code
    _count: int = 0

    @property
    def root(self) -> Path:
        """Of the run that was begun last."""
        return self.folder / f"place-{self._count}"

    def begin(
        self, entry: str, arguments: dict[str, Any], *, part: float = 1.0, **given: Any
    ) -> subprocess.Popen[bytes]:
        """`part` of what is to be said to it is said."""
        file = "/somewhere/user_code.py"
        record: dict[str, Any] = {
            "module": "user_code",
            "mode": "slice",
            "factory": None,
            "closure": {},
            "file": file,
            "name": entry,
        }
        module = {"text": self.code, "file": file, "package": False, "main": False}
        bundle = self.bundle or {"format": 1, "modules": {"user_code": module}, "entries": {entry: record}}
        payload = {
            "entry": entry, "config": None, "execution": "e1", "node": "n1", "attempt": 2, "environment": {},
            "secrets": [], "timeout": None, "generator": False,
            "args": [[name, json.dumps(value)] for name, value in arguments.items()], **given,
        }  # fmt: skip
        self._count += 1
        told = one_file.opening(
            token=TOKEN, folder=str(self.root), kept=self.kept, keep=self.keep, sources=self.sources
        )
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [self.python.path, "-B", "-c", one_file.BOOT],
            stdin=pipe, stdout=pipe, stderr=pipe, env=OUTSIDE, cwd=self.folder,
        )  # fmt: skip
        assert process.stdin is not None
        told += run_of(bundle, payload, self.blobs)
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(told[: int(len(told) * part)])
        process.stdin = None
        return process

    def end(self, process: subprocess.Popen[bytes]) -> Told:
        out, err = process.communicate(timeout=40)
        parts = parts_of(out)
        messages = [json.loads(data) for is_ours, data in parts if is_ours]
        beside = b"".join(data for is_ours, data in parts if not is_ours)
        said = b"".join(data for is_ours, data in parts_of(err) if not is_ours)
        return Told(process.returncode, messages, beside, said.decode(errors="replace"), self.root / "1")

    def run(self, entry: str, arguments: dict[str, Any] | None = None, **given: Any) -> Told:
        return self.end(self.begin(entry, arguments or {}, **given))


def parts_of(said: bytes) -> list[tuple[bool, bytes]]:
    reader = FrameReader(TOKEN)
    return [*reader.feed(said), *reader.finish()]


def run_of(bundle: Any, payload: Any, blobs: Mapping[str, bytes]) -> bytes:
    """One run, as a place is told of it."""
    parts = [(b"p", json.dumps(payload).encode(), ""), (b"b", json.dumps(bundle).encode(), "")]
    parts += [(b"v", data, digest) for digest, data in blobs.items()]
    return b"n" + b"".join(head(kind, len(data), name) + data for kind, data, name in parts) + head(b"e", 0)


def wait_for(path: Path, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.01)


def names(pythons: Sequence[Python]) -> list[str]:
    return [python.name for python in pythons]
