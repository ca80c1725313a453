"""The executors by the name of their platform; each is imported when the first node asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twingraph.executors.base import Executor
from twingraph.store.blobs.base import BlobStore

PLATFORMS = ("docker",)


def executor(
    platform: str, environment: Mapping[str, str], home: str, key: bytes, blobs: BlobStore, cache: Path
) -> Executor:
    """`cache` is a folder for what can be made again."""
    if platform == "docker":
        from twingraph.executors.docker.executor import DockerExecutor

        return DockerExecutor(environment, home, key, blobs, cache)
    raise LookupError(f"no executor for {platform!r}; there are {', '.join(PLATFORMS)}")
