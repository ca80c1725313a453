"""What a slice is: plain data, ready to be stored by content and shipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from twingraph.core.recordclass import recordclass

LOWEST_PYTHON = (3, 8)


@recordclass
class SliceModule:
    """One pruned module; line numbers are those of the user's file."""

    file: str
    text: str
    package: bool
    main: bool
    shown: Mapping[str, str] = field(default_factory=dict)
    """Number to text of the lines that were edited, as their author wrote them: what tracebacks show."""
    search: tuple[str, ...] = ()
    """Folders in which compiled siblings of a package are still found; empty almost always."""


@recordclass
class Project:
    """All files of a folder, packed."""

    digest: str
    """Of names and contents alone, whatever packed them."""
    data: bytes = field(repr=False)
    """A zip archive."""
    files: tuple[str, ...] = ()
    """What it was read from: files and folders."""


@recordclass
class Slice:
    """A function or class with everything of the project that it uses, or the word that it travels otherwise."""

    entry_module: str
    entry_name: str
    modules: Mapping[str, SliceModule]
    code_hash: str
    closure: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Free variable to the way it is made again, for a function that was defined inside another."""
    factory: str | None = None
    """Source that makes such a function from its free variables, at its own lines."""
    around: str = ""
    """Qualified name of the function that such a function was defined in."""
    external: tuple[str, ...] = ()
    python: tuple[int, int] = LOWEST_PYTHON
    mode: Literal["slice", "import", "image", "project"] = "slice"
    note: str | None = None
    file: str = ""
    main: bool = False
    project: Project | None = None
    """With mode `project`."""
    script: str = ""
    """With mode `project`: the file of a script in it, which may be called otherwise than the script is shipped."""
    reads_file: bool = False
    """Kept code mentions `__file__`, which means nothing in a container."""
