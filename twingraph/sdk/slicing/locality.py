"""Which modules belong to the project, and where their source lies. Nothing is imported to find out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

from twingraph.core.recordclass import recordclass

_INSTALLED = ("site-packages", "dist-packages")


@recordclass
class Place:
    """Where a project-local module lies; `file` is None for a namespace package and for compiled modules."""

    name: str
    file: str | None
    package: bool
    search: tuple[str, ...] = ()
    compiled: bool = False
    made: tuple[str, ...] = ()  # sources of its nested functions, where it was loaded from a bundle
    text: str | None = None  # of a module that was loaded from a bundle, whatever its file says by now
    main: bool = False


# Where `os` lies lies the standard library, in a virtual environment too; `sysconfig` would cost 10 ms to ask.
_STANDARD = os.path.realpath(os.path.dirname(os.__file__)) + os.sep


@lru_cache(maxsize=4096)
def is_local_file(file: str) -> bool:
    """Neither the standard library nor an installed distribution; an editable install counts as local."""
    real = os.path.realpath(file)
    parts = real.split(os.sep)
    if any(part in _INSTALLED for part in parts):
        return False
    return not real.startswith(_STANDARD)


def find_local(name: str) -> Place | None:
    """The place of a project-local module, or None for everything else."""
    top = name.partition(".")[0]
    if not top or top == "twingraph" or name in sys.builtin_module_names:
        return None
    recorded = _recorded(name)
    if recorded is not None:
        return recorded
    module = sys.modules.get(name)
    spec: ModuleSpec | None = getattr(module, "__spec__", None) if module is not None else None
    if module is not None and spec is None:
        return _place_of_file(name, getattr(module, "__file__", None))
    return _place(name, spec if spec is not None else _find_spec(name))


def _recorded(name: str) -> Place | None:
    """Modules of a bundle that `executors/slice_loader.py` has installed here."""
    module = sys.modules.get(name)
    loaders: list[Any] = list(sys.meta_path) if module is None else [getattr(module, "__loader__", None)]
    for loader in loaders:
        if not hasattr(loader, "factories"):
            continue
        record = loader.modules.get(name)
        if record is not None:
            return Place(
                name=name,
                file=record["file"],
                package=record["package"],
                search=tuple(record["search"]),
                text=record["text"],
                made=tuple(loader.factories.get(name, ())),
                main=record["main"],
            )
        if name in loader.parents:
            return Place(name=name, file=None, package=True)
    return None


def _place_of_file(name: str, file: str | None) -> Place | None:
    if file is None or not file.endswith(".py") or not is_local_file(file):
        return None
    return Place(name=name, file=os.path.abspath(file), package=os.path.basename(file) == "__init__.py")


def _place(name: str, spec: ModuleSpec | None) -> Place | None:
    if spec is None:
        return None
    search = tuple(spec.submodule_search_locations or ())
    if spec.origin is None or spec.origin == "namespace":
        local = bool(search) and all(is_local_file(os.path.join(folder, "x.py")) for folder in search)
        return Place(name=name, file=None, package=True, search=search) if local else None
    if not spec.has_location or not is_local_file(spec.origin):
        return None
    if not spec.origin.endswith(".py"):
        return Place(name=name, file=None, package=False, compiled=True)
    return Place(name=name, file=os.path.abspath(spec.origin), package=bool(search), search=search)


def _find_spec(name: str) -> ModuleSpec | None:
    parent, _, _ = name.rpartition(".")
    path: Sequence[str] | None = None
    if parent:
        place = find_local(parent)
        if place is None or not place.package:
            return None
        path = place.search
    elif name in sys.stdlib_module_names and not _shadowed(name):
        return None
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is None or (parent and finder is not PathFinder):
            continue
        try:
            spec: ModuleSpec | None = find(name, path, None)
        except (ImportError, ValueError, AttributeError):
            continue
        if spec is not None:
            return spec
    return None


def _shadowed(name: str) -> bool:
    """A script's folder may hold a file with the name of a standard module; Python itself would take it."""
    return bool(sys.path) and os.path.isfile(os.path.join(sys.path[0] or ".", name + ".py"))
