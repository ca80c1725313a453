"""Slices of one version of the code, joined into what one worker process loads: each module once."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from typing import Any

from twingraph.sdk.slicing.records import Slice, SliceModule

FORMAT = 1


def bundle(slices: Mapping[str, Slice]) -> dict[str, Any]:
    """JSON-able union of slices, by any keys; `executors/slice_loader.py` reads it."""
    gathered: dict[str, list[SliceModule]] = {}
    for found in slices.values():
        for name, module in found.modules.items():
            gathered.setdefault(name, []).append(module)
    made = {
        "format": FORMAT,
        "modules": {name: _union(gathered[name]) for name in sorted(gathered)},
        "entries": {key: _entry(found) for key, found in slices.items()},
    }
    projects = {
        one.digest: b2a_base64(one.data, newline=False).decode() for found in slices.values() if (one := found.project)
    }
    return {**made, "projects": projects} if projects else made


def _entry(found: Slice) -> dict[str, Any]:
    made = {
        "mode": found.mode,
        "module": found.entry_module,
        "name": found.entry_name,
        "factory": found.factory,
        "around": found.around,
        "closure": {name: dict(value) for name, value in found.closure.items()},
        "file": found.file,
        "main": found.main,
        "hash": found.code_hash,
    }
    if found.reads_file:
        made["reads_file"] = True
    if found.project is not None:
        made["project"] = found.project.digest
    if found.script:
        made["script"] = found.script
    return made


def _union(parts: list[SliceModule]) -> dict[str, Any]:
    first = parts[0]
    texts = list(dict.fromkeys(part.text for part in parts))
    search = sorted({folder for part in parts for folder in part.search})
    text = texts[0] if len(texts) == 1 else merge_lines(texts)
    shown = {number: line for part in parts for number, line in part.shown.items()}
    return {
        "file": first.file,
        "text": text,
        "package": first.package,
        "main": first.main,
        "shown": shown,
        "search": search,
    }


def merge_lines(texts: Iterable[str]) -> str:
    """All come from one file, so a line is the same in each, blank, or holds other aliases of the same import."""
    split = [text.split("\n") for text in texts]
    merged = []
    for number in range(max(map(len, split))):
        variants = list(dict.fromkeys(lines[number] for lines in split if number < len(lines) and lines[number]))
        if len(variants) > 1:
            pieces = dict.fromkeys(piece for variant in variants for piece in variant.split("; "))
            merged.append("; ".join(pieces))
        else:
            merged.append(variants[0] if variants else "")
    return "\n".join(merged)
