"""Code versions: a bundle of slices together with the world in which it runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from twingraph.core.errors import NotFoundError, PermanentError, TwinGraphError
from twingraph.core.hashing import content_hash
from twingraph.dispatch.base import CodeRef
from twingraph.dispatch.distributions import installed, missing
from twingraph.store.blobs.base import BlobStore


class CodeUnavailableError(PermanentError):
    """What an execution was started with is not on this machine any more."""


def describe(
    bundle: str, blobs: BlobStore, packages: Iterable[str] = (), body: str | None = None
) -> tuple[str, CodeRef]:
    """The version of this bundle in this process's world; `packages` are what its code imports from outside.

    `body` is the bundle of the bodies of pipelines, where there are some.
    """
    world = {
        "bundle": bundle,
        "interpreter": sys.executable,
        "python": ".".join(map(str, sys.version_info[:3])),
        "working_dir": os.getcwd(),
        "sys_path": [entry for entry in sys.path if entry],
        "distributions": installed(packages),
    }
    if body is not None:
        world["body"] = body
    text = json.dumps(world, sort_keys=True)
    version = content_hash(text.encode())
    return version, reference(version, text, blobs)


def beside(code: CodeRef, bundle: str, blobs: BlobStore, packages: Iterable[str] = ()) -> tuple[str, CodeRef]:
    """The version of another bundle in the world of `code`: what a body there has made itself."""
    world = {**json.loads(code.description), "bundle": bundle}
    world["distributions"] = {**installed(packages), **world.get("distributions", {})}
    world.pop("body", None)
    text = json.dumps(world, sort_keys=True)
    version = content_hash(text.encode())
    return version, reference(version, text, blobs)


def body(code: CodeRef) -> str:
    return code.description


def check_packages(code: CodeRef) -> None:
    """Before recorded code is used again: every package that it imports is still there."""
    world = json.loads(code.description)
    gone = missing(world.get("distributions", {}), code.interpreter, code.sys_path)
    if gone:
        raise CodeUnavailableError(
            f"its code needs what is no longer installed: {', '.join(gone)}; "
            f"install it: {code.interpreter} -m pip install {' '.join(gone)}"
        )


def reference(version: str, body: str, blobs: BlobStore) -> CodeRef:
    """Where the code of a version is on this machine, or an error that says what is missing."""
    try:
        return _reference(version, body, blobs)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CodeUnavailableError(
            f"what is recorded of its code cannot be read: {type(error).__name__}: {error}; go on with `--code current`"
        ) from error


def _reference(version: str, body: str, blobs: BlobStore) -> CodeRef:
    world = json.loads(body)
    interpreter, folder = world["interpreter"], world["working_dir"]
    if not Path(interpreter).exists():
        raise CodeUnavailableError(
            f"it was started with Python {world['python']} at {interpreter}, which is gone; install it there again, "
            "or go on with `--code current`"
        )
    if not Path(folder).is_dir():
        raise CodeUnavailableError(
            f"it was started in the folder {folder}, which is gone; make it again, or go on with `--code current`"
        )
    try:
        bundle = blobs.keep(world["bundle"])
        bodies = str(blobs.keep(world["body"])) if "body" in world else ""
    except (NotFoundError, TwinGraphError) as error:
        raise CodeUnavailableError(f"its recorded code cannot be read: {error}; go on with `--code current`") from error
    return CodeRef(
        version=version,
        bundle_path=str(bundle),
        body_path=bodies,
        interpreter=interpreter,
        working_dir=folder,
        sys_path=tuple(world["sys_path"]),
        description=body,
    )
