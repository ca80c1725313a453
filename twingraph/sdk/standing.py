"""Where a workflow or a pipeline stands, as `twingraph run` would be told."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from twingraph.sdk.pipeline import Pipeline
    from twingraph.sdk.workflow_builder import Workflow

# Where no workflow stands that anybody would run: the standard library, installed packages, and this one.
_NOT_THE_AUTHORS = (str(Path(os.__file__).parent), f"{sys.prefix}/lib", str(Path(__file__).parents[1]))

# What the prompt of Python 3.13.0 says is the file of `__main__`: its own program.
_PROMPT = f"{os.sep}_pyrepl{os.sep}"

# Looking through all modules takes as long as the rest of a start; where it was found it mostly still is.
_found: WeakKeyDictionary[Workflow | Pipeline[..., Any], tuple[ModuleType, str]] = WeakKeyDictionary()
# Where it was not, it is looked for again once there are other modules or more names.
_nowhere: WeakKeyDictionary[Workflow | Pipeline[..., Any], tuple[int, int]] = WeakKeyDictionary()


def target_of(thing: Workflow | Pipeline[..., Any]) -> str | None:
    """What `twingraph run` would be given, in any folder, to run this again; None when it stands in no file."""
    module, name = _found.get(thing) or (None, "")
    if module is None or vars(module).get(name) is not thing:
        module, name = _look_for(thing)
    if module is not None:
        _found[thing] = module, name
        return f"{_absolute(str(module.__file__))}:{name}"
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return _absolute(file) if file and os.path.isfile(file) and _PROMPT not in file else None


def _absolute(file: str) -> str:
    return file if os.path.isabs(file) else str(Path(file).absolute())


def _look_for(thing: Workflow | Pipeline[..., Any]) -> tuple[ModuleType | None, str]:
    main = sys.modules.get("__main__")
    authors = _authors(len(sys.modules), id(next(reversed(sys.modules.values()))))
    looked_at = len(sys.modules), sum(len(vars(module)) for module in (main, *authors) if module is not None)
    if _nowhere.get(thing) == looked_at:
        return None, ""
    for module in (main, *authors):
        if module is None or not _is_of_the_author(module):
            continue
        name = next((name for name, value in list(vars(module).items()) if value is thing), None)
        if name is not None:
            return module, name
    _nowhere[thing] = looked_at
    return None, ""


@lru_cache(maxsize=1)
def _authors(count: int, newest: int) -> list[ModuleType]:
    """Few of the many modules, which are the same until one is imported."""
    return [module for module in list(sys.modules.values()) if _is_of_the_author(module)]


def _is_of_the_author(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return (
        isinstance(file, str) and file.endswith(".py") and not file.startswith(_NOT_THE_AUTHORS) and _PROMPT not in file
    )
