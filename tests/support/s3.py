"""A real S3 endpoint of a test's own: versitygw, whose objects are plain files that a test may age or damage."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

VERSION = "1.8.0"
KEYS = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret", "AWS_EC2_METADATA_DISABLED": "true"}
BUCKET = "blobs"


def _cache() -> Path:
    given, base = os.environ.get("TWINGRAPH_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else (Path(base) if base else Path.home() / ".cache") / "twingraph"


PROGRAM = _cache() / "programs" / f"versitygw-{VERSION}" / "versitygw"
IS_HERE = os.access(PROGRAM, os.X_OK)
only_with_s3 = pytest.mark.only_where(IS_HERE, "needs the S3 endpoint: python -m tools.services install s3")


@dataclass
class Endpoint:
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def address(self, prefix: str, *, port: int | None = None, **more: object) -> str:
        """Of blobs under a prefix; through a proxy with `port`."""
        options = "".join(f"&{name}={value}" for name, value in more.items())
        return f"s3://{BUCKET}/{prefix}?endpoint=http://127.0.0.1:{port or self.port}{options}"

    def file(self, key: str) -> Path:
        return self.folder / "objects" / BUCKET / key


@contextmanager
def endpoint(folder: Path) -> Iterator[Endpoint]:
    """Runs while the block does, with an empty bucket."""
    for part in ("objects", "accounts", f"objects/{BUCKET}"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [str(PROGRAM), "--quiet", "--port", f"127.0.0.1:{port}", "--iam-dir", str(folder / "accounts")]
    keys = {"ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "posix", str(folder / "objects")], env={**os.environ, **keys}, stdout=log, stderr=log
        )
    try:
        _wait_for(port)
        yield Endpoint(folder, port)
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "versitygw did not start"
            time.sleep(0.02)
