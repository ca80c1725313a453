"""The runner as what a place is told first: nothing of it need be there but a Python, from 3.8 on.

It is made of the modules that travel (`tests/house/test_travelling_modules.py` holds them to that), each as text under
its own name; one that a run does not need is never compiled. Where TwinGraph is installed its own package stays what it
is, but for these modules: those that made the payload also read it.
"""

from __future__ import annotations

import marshal
import zlib
from functools import cache
from importlib.resources import files

from twingraph.core.hashing import content_hash

MODULES = (
    "core.hashing",
    *(f"core.codec{part}" for part in ("", "_base", "_decode", "_encode", "_join", "_lists", "_tables", "_views")),
    *("executors." + name for name in ("capture", "contained", "context", "first_process", "folder_blobs", "frames")),
    *(
        "executors." + name
        for name in ("handing", "last_words", "mask", "masked_values", "parcel", "project", "runner", "slice_loader")
    ),
)
# What the place's Python runs (`python -c BOOT`): it reads the rest from its standard input.
BOOT = """import os, sys
if sys.version_info < (3, 8):
    sys.exit("TwinGraph's runner needs Python 3.8 or newer; this is Python %d.%d" % sys.version_info[:2])
def read(size):
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            os._exit(75)
        data += piece
    return data
exec(compile(read(int(read(9))), "<runner>/opening.py", "exec"))
begin(read)
"""
_OLD_MARSHAL = 2  # what every Python 3 reads


def opening(
    *,
    token: str,
    folder: str,
    idle: float = 0.0,
    kept: bytes = b"",
    keep: bool = False,
    sources: bytes | None = None,
) -> bytes:
    """What it is told first. `token` marks its words, `folder` is where it works; with `idle` it takes one run after
    another, until nothing has come for so many seconds. `kept` is what `keep` made an earlier one tell; `sources` are
    other texts than those of these modules.
    """
    given = {"token": token, "folder": folder, "idle": idle, "kept": kept, "keep": keep}
    given["sources"] = _sources() if sources is None else sources
    return _text("executors.opening") + _sized(marshal.dumps(given, _OLD_MARSHAL))


@cache
def edition() -> str:
    """Names the runner's text: what was compiled of another is of no use."""
    return content_hash(_sources())


@cache
def _sources() -> bytes:
    texts = {"twingraph." + name: _read(name) for name in MODULES}
    return zlib.compress(marshal.dumps(texts, _OLD_MARSHAL), 9)


@cache
def _text(name: str) -> bytes:
    return _sized(_read(name).encode())


def _read(name: str) -> str:
    return files("twingraph").joinpath(*name.split(".")[:-1], name.split(".")[-1] + ".py").read_text(encoding="utf-8")


def _sized(data: bytes) -> bytes:
    return b"%9d" % len(data) + data
