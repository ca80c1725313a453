"""A throw-away project: files written, imported, sliced and forgotten."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from twingraph.sdk.slicing import Slice, slice_of


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: set[str] = set()

    def write(self, name: str, text: str) -> Path:
        loaded = getattr(sys.modules.get(name), "__file__", None)
        assert name not in sys.modules or str(loaded).startswith(str(self.folder)), f"{name} is taken by {loaded}"
        file = self.folder / (name.replace(".", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        return file

    def load(self, name: str, text: str) -> ModuleType:
        self.write(name, text)
        self.names.add(name)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def slice(self, text: str, target: str = "run", *, name: str = "sample", **options: Any) -> Slice:
        value: Any = self.load(name, text)
        for part in target.split("."):
            value = getattr(value, part)
        return slice_of(value, **options)
