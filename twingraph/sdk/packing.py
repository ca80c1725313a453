"""From the code of a compiled workflow to the bundle that its workers load."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twingraph.sdk.slicing import bundle, slice_of

Stamp = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle as canonical JSON (equal code gives equal bytes), and what it was read from."""

    data: bytes
    origin: tuple[Any, ...]  # kept alive, so that the ids in the key stay theirs
    files: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    packages: tuple[str, ...]  # what the code imports from outside the project

    def is_fresh(self) -> bool:
        return self.stamps == stamps_of(self.files) and None not in self.stamps


def key_of(objects: Mapping[str, Any], sources: Mapping[str, str]) -> tuple[Any, ...]:
    """Equal for the same live objects under the same names."""
    return tuple((key, id(target)) for key, target in objects.items()), tuple(sources.items())


def stamps_of(files: tuple[str, ...]) -> tuple[Stamp, ...]:
    """When each file was last changed; None for code that stands in no file, a notebook's or a REPL's."""
    return tuple(map(_stamp, files))


def _stamp(file: str) -> Stamp:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def pack(objects: Mapping[str, Any], sources: Mapping[str, str]) -> Packed:
    """The functions, classes and code nodes under these keys."""
    slices = {key: slice_of(target) for key, target in objects.items()}
    packed = bundle(slices)
    packages = {name for found in slices.values() for name in found.external}
    files = tuple(module["file"] for module in packed["modules"].values())
    stamps = stamps_of(files)
    for key, text in sources.items():
        name = f"_code_{len(packed['modules'])}"
        packed["modules"][name] = {"file": f"<{key}>", "text": text, "package": False, "main": False, "search": []}
        packed["entries"][key] = {
            "mode": "slice",
            "module": name,
            "name": "run",
            "factory": None,
            "closure": {},
            "file": f"<{key}>",
            "main": False,
        }
    data = json.dumps(packed, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return Packed(data, tuple(objects.values()), files, stamps, tuple(sorted(packages)))
