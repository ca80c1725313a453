"""Code that is not cut: `ship='bundle'` sends the project in which it stands, `ship='image'` sends nothing."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

from twingraph.core.errors import SliceError
from twingraph.core.hashing import content_hash
from twingraph.core.plan import IMPORTED
from twingraph.sdk.slicing.hashing import code_hash
from twingraph.sdk.slicing.records import Project, Slice
from twingraph.sdk.slicing.slicing import identify, is_nested, plain
from twingraph.sdk.slicing.sources import Source, no_source, source_of

# It travels to every place where a node runs.
MOST_BYTES = 32 << 20
MOST_FILES = 5000
IGNORE = ".twingraphignore"
_NEVER = (".*", "__pycache__", "*.pyc", "*.egg-info", "node_modules")
# A home of TwinGraph, by any name, and what is its own where it is the project's folder itself: see `store/home.py`.
_SIGNS = (("home.lock", "run"), ("secret.key", "run"), ("secret.key", "twingraph.db"))
_HOME = (
    "secret.key",
    "secret.[0-9]*",
    "twingraph.db*",
    "twingraph.*.db*",
    "home.lock",
    "prune.lock",
    "blobs.signed",
    "blobs",
    "run",
    "cache",
    "compiled",
)
_MADE = (1980, 1, 1, 0, 0, 0)  # whenever it was packed
_LEVEL = 6


def installed(target: Any) -> Slice:
    """By the name under which its module is imported where it runs."""
    module, name, source = _found(target, "image")
    address = source.name if source is not None else module
    return Slice(
        entry_module=address,
        entry_name=name,
        modules={},
        mode="image",
        code_hash=IMPORTED + code_hash({}, (address, name)),
        external=(address.partition(".")[0],) if source is None else (),
    )


def with_project(target: Any, known: dict[str, Project] | None = None) -> Slice:
    """With all files of the folder from which its module is imported; `known` are folders that were packed before."""
    module, name, source = _found(target, "bundle")
    if source is None:
        raise SliceError(
            f"{module} is installed, so there is no project of {name} to ship; take ship='image', which imports it "
            "where it runs"
        )
    root, known = _root_of(source), {} if known is None else known
    project = known.get(root) or known.setdefault(root, packed(root))
    inside = _name_of(source.file, root)
    return Slice(
        entry_module=source.name,
        entry_name=name,
        modules={},
        mode="project",
        file=source.file,
        code_hash=content_hash(json.dumps(["project 1", project.digest, source.name, name, inside]).encode()),
        project=project,
        script=inside if source.main and "." not in source.name else "",  # else `python -m` a module of a package
    )


def _found(target: Any, ship: str) -> tuple[str, str, Source | None]:
    module, name = identify(plain(target))
    source = source_of(module)
    file = source.file if source is not None else None
    if is_nested(name):
        raise SliceError(
            f"{name} is defined inside a function, where no import reaches it; move it to module level for "
            f"ship={ship!r}",
            file=file,
        )
    if source is None and module == "__main__":
        raise no_source(module, name)
    if source is not None and source.recorded and ship == "bundle":
        raise SliceError(
            f"the project of {name} was not recorded with its execution, and may have changed; say ship='bundle' in "
            "its decorator, where it is seen before anything runs",
            file=file,
        )
    if source is not None and not (source.recorded or os.path.isfile(source.file)):
        raise SliceError(f"{name} does not stand in a file, which ship={ship!r} needs; put it in one", file=file)
    return module, name, source


def _root_of(source: Source) -> str:
    """The folder from which the module is imported."""
    folder = os.path.dirname(os.path.abspath(source.file))
    for _ in range(source.name.count(".") + source.package):
        folder = os.path.dirname(folder)
    return folder


def packed(root: str, most_files: int = MOST_FILES, most_bytes: int = MOST_BYTES) -> Project:
    """Equal files under equal names give an equal digest. SliceError when it is too much to travel."""
    rows, files, size = list[tuple[str, str, bool]](), list[str](), 0
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for path in _walk(root, _ignored(root), files):
            name = _name_of(path, root)
            try:
                with open(path, "rb") as file:
                    data = file.read(most_bytes - size + 1)
            except OSError as error:
                raise SliceError(f"a file of the project at {root} cannot be read: {error}", file=path) from None
            size += len(data)
            if size > most_bytes or len(rows) == most_files:
                raise SliceError(
                    f"the project at {root} has more than {most_files} files or {most_bytes >> 20} MiB; name what need "
                    f"not travel in {os.path.join(root, IGNORE)}, a pattern in each line",
                    file=path,
                )
            runs = os.access(path, os.X_OK)
            rows.append((name, content_hash(data), runs))
            entry = zipfile.ZipInfo(name, _MADE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if runs else 0o644) << 16
            archive.writestr(entry, data)
    return Project(digest=content_hash(json.dumps(rows).encode()), data=made.getvalue(), files=tuple(files))


def _name_of(path: str, root: str) -> str:
    try:
        return os.path.relpath(path, root).replace(os.sep, "/").encode().decode()
    except UnicodeEncodeError:
        shown = path.encode(errors="backslashreplace").decode()
        raise SliceError(
            f"the name of the file '{shown}' is not UTF-8, in which it would travel; rename it, or name a pattern that "
            f"fits it in {os.path.join(root, IGNORE)}"
        ) from None


def _ignored(root: str) -> tuple[str, ...]:
    try:
        with open(os.path.join(root, IGNORE), encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except FileNotFoundError:
        return _NEVER
    except (OSError, UnicodeDecodeError) as error:
        raise SliceError(f"{IGNORE} cannot be read: {error}", file=os.path.join(root, IGNORE)) from None
    return (*_NEVER, *(line.strip("/") for line in lines if line and not line.startswith("#")))


def _walk(root: str, ignored: tuple[str, ...], seen: list[str]) -> Iterator[str]:
    """Its files in order of their names. `seen` gets what tells whether something has changed since: folders too."""
    ignore = os.path.join(root, IGNORE)
    if os.path.exists(ignore):
        seen.append(ignore)
    for folder, folders, names in os.walk(root, onerror=_unreadable):
        seen.append(folder)
        inside = os.path.relpath(folder, root)
        never = (*ignored, *_HOME) if inside == "." and _is_home(folder) else ignored
        folders[:] = sorted(
            name for name in folders if not (_is_ignored(inside, name, never) or _is_made(os.path.join(folder, name)))
        )
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):
                raise SliceError(
                    f"{os.path.join(folder, name)} is a link to a folder, which does not travel; put the folder itself "
                    f"there, or name it in {ignore}"
                )
        for name in sorted(names):
            path = os.path.join(folder, name)
            if not _is_ignored(inside, name, never) and os.path.isfile(path):
                seen.append(path)
                yield path


def _is_ignored(folder: str, name: str, ignored: tuple[str, ...]) -> bool:
    whole = name if folder == "." else f"{folder}/{name}"
    return any(fnmatch(name, pattern) or fnmatch(whole, pattern) for pattern in ignored)


def _unreadable(error: OSError) -> None:
    raise SliceError(f"a folder of the project cannot be read: {error}; make it readable, or name it in {IGNORE}")


def _is_made(folder: str) -> bool:
    """A virtual environment or a home: a tool's folder, whatever it is called."""
    return os.path.exists(os.path.join(folder, "pyvenv.cfg")) or _is_home(folder)


def _is_home(folder: str) -> bool:
    """It holds the key that signs values, and changes with every execution."""
    return any(all(os.path.exists(os.path.join(folder, name)) for name in signs) for signs in _SIGNS)
