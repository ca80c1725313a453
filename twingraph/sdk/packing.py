"""From the code of a workflow to the bundles that its workers, and the hosts of its bodies, load."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import field
from typing import Any
from weakref import WeakKeyDictionary

from twingraph.core.errors import SliceError
from twingraph.core.recordclass import recordclass
from twingraph.sdk.sameness import closed_over
from twingraph.sdk.signature import code_of, is_pipeline
from twingraph.sdk.slicing import Slice, bundle, slice_of
from twingraph.sdk.slicing.hashing import text_hash
from twingraph.sdk.slicing.records import Project

Stamp = tuple[int, int] | None
# Their text came with the command that started this process, so it stays as it is.
_NEVER_CHANGED = ("<string>", "<stdin>")


@recordclass(kw_only=False)
class Packed:
    """Bundles as canonical JSON (equal code gives equal bytes), and what they were read from."""

    data: bytes
    origin: tuple[Any, ...]  # kept alive, so that the ids in the key stay theirs
    files: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    packages: tuple[str, ...]  # what the code imports from outside the project
    hashes: Mapping[str, str] = field(default_factory=dict)  # entry to the hash of its code
    body: bytes = b""  # the bundle of the bodies; empty where there are none
    notes: Mapping[str, str] = field(default_factory=dict)  # entry to why its code is not sliced

    def is_fresh(self) -> bool:
        return self.stamps == stamps_of(self.files) and None not in self.stamps


def key_of(objects: Mapping[str, Any], sources: Mapping[str, str], bodies: Mapping[str, Any] | None = None) -> Any:
    """Equal for the same live objects under the same names."""
    return _ids(objects), tuple(sources.items()), _ids(bodies or {})


def _ids(objects: Mapping[str, Any]) -> tuple[tuple[str, int, Any], ...]:
    return tuple((key, id(target), closed_over(target)) for key, target in objects.items())


def stamps_of(files: tuple[str, ...]) -> tuple[Stamp, ...]:
    """When each file was last changed; None for code that stands in no file, a notebook's or a REPL's."""
    return tuple(map(_stamp, files))


def _stamp(file: str) -> Stamp:
    if file in _NEVER_CHANGED:
        return 0, 0
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def pack(objects: Mapping[str, Any], sources: Mapping[str, str] | None = None) -> Packed:
    """The functions, classes and code nodes under these keys. May be asked of any thread, while bodies run."""
    projects: dict[str, Project] = {}  # by folder: what changes meanwhile does not make two of one
    slices = {key: _shipped(key, target, projects) for key, target in objects.items()}
    packed = bundle(slices)
    for key, text in (sources or {}).items():
        _add_source(packed, key, text)
    return _finished(packed, slices, tuple(objects.values()))


def pack_bodies(bodies: Mapping[str, Any]) -> Packed:
    """The bodies of pipelines, with decorators and typed parameters, for processes that have TwinGraph.

    A body that cannot be recorded runs all the same; it only cannot go on in another process. Loading it says why.
    """
    slices: dict[str, Slice] = {}
    refused: dict[str, str] = {}
    for key, target in bodies.items():
        try:
            slices[key] = _sliced(target, keep_ours=True)
        except SliceError as error:
            refused[key] = str(error)
    packed = bundle(slices)
    for key, why in refused.items():
        packed["entries"][key] = {"mode": "refused", "note": why, "factory": None}
    return _finished(packed, slices, tuple(bodies.values()), refused)


def pack_pipeline(objects: Mapping[str, Any], sources: Mapping[str, str], bodies: Mapping[str, Any]) -> Packed:
    """Components for the workers in `data`, bodies for their hosts in `body`, with the classes of values in both."""
    classes = {key: target for key, target in objects.items() if key.startswith("class ")}
    work, body = pack(objects, sources), pack_bodies({**bodies, **classes})
    files = dict(zip((*work.files, *body.files), (*work.stamps, *body.stamps), strict=True))
    return Packed(
        data=work.data,
        origin=(*work.origin, *body.origin),
        files=tuple(files),
        stamps=tuple(files.values()),
        packages=tuple(sorted({*work.packages, *body.packages})),
        hashes={**body.hashes, **work.hashes},
        body=body.data,
        notes={**body.notes, **work.notes},
    )


def code_hashes(packed: Packed | bytes) -> Mapping[str, str]:
    """Entry to the hash of its code, also of a bundle that was recorded earlier."""
    if isinstance(packed, Packed):
        return packed.hashes
    return {key: entry["hash"] for key, entry in json.loads(packed)["entries"].items() if entry.get("hash")}


def hash_of(target: Any) -> str:
    """The code hash of a component, a class or the body of a pipeline; costs nothing where it was packed before."""
    return _sliced(target, keep_ours=True).code_hash if is_pipeline(target) else _sliced(code_of(target)).code_hash


def holds(hashes: Mapping[str, str | None], entry: str, target: Any) -> bool:
    """Whether a version of these hashes has the code of this object. Functions made in a body share one key."""
    return entry in hashes and ("<locals>" not in entry or hashes[entry] == hash_of(target))


def _add_source(packed: dict[str, Any], key: str, text: str) -> None:
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
        "hash": text_hash(text),
    }


def _finished(
    packed: dict[str, Any], slices: Mapping[str, Slice], origin: tuple[Any, ...], notes: Mapping[str, str] | None = None
) -> Packed:
    files = tuple(dict.fromkeys(file for found in slices.values() for file in _files_of(found)))
    entries: dict[str, dict[str, Any]] = packed["entries"]
    return Packed(
        data=json.dumps(packed, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode(),
        origin=origin,
        files=files,
        stamps=stamps_of(files),
        packages=tuple(sorted({name for found in slices.values() for name in found.external})),
        hashes={key: entry["hash"] for key, entry in entries.items() if entry.get("hash")},
        notes={**(notes or {}), **{key: found.note for key, found in slices.items() if found.note}},
    )


def _shipped(key: str, target: Any, projects: dict[str, Project]) -> Slice:
    """As its entry says: see `signature.shipped_entry`."""
    how, _, rest = key.partition(" ")
    if not rest or how not in ("bundle", "image"):
        return _sliced(target)
    from twingraph.sdk.slicing.whole import installed, with_project

    return with_project(target, projects) if how == "bundle" else installed(target)


def _files_of(found: Slice) -> tuple[str, ...]:
    if found.project is not None:
        return found.project.files
    files = [module.file for module in found.modules.values()]
    return tuple(files) if files or not found.file else (found.file,)


# What each live object was sliced to, while its files, and what it closes over, stand as they were.
_known: WeakKeyDictionary[Any, dict[bool, tuple[Slice, tuple[Stamp, ...], Any]]] = WeakKeyDictionary()
_lock = threading.RLock()


def _sliced(target: Any, *, keep_ours: bool = False) -> Slice:
    with _lock:
        try:
            kept = _known.setdefault(target, {})
        except TypeError:  # it has no hash, or takes no weak reference
            kept = {}
        known, state = kept.get(keep_ours), closed_over(target)
        fresh = known is not None and None not in known[1] and known[1] == stamps_of(_files_of(known[0]))
        if known is not None and fresh and known[2] == state:
            return known[0]
        found = slice_of(target, keep_ours=keep_ours)
        kept[keep_ours] = found, stamps_of(_files_of(found)), state
        return found
