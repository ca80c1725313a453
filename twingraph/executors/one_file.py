"""The runner as one file: what travels to where a node is carried out, for any Python from 3.8 on.

It is made of the modules that travel (`tests/house/test_travelling_modules.py` holds them to that), each as text under
its own name; one that a run does not need is never compiled. Where TwinGraph is installed its own package stays what it
is, but for these modules: those that made the payload also read it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

MODULES = (
    "core.hashing",
    *(f"core.codec{part}" for part in ("", "_base", "_decode", "_encode", "_join", "_lists", "_tables", "_views")),
    *("executors." + name for name in ("capture", "contained", "context", "first_process", "folder_blobs", "frames")),
    *("executors." + name for name in ("handing", "mask", "masked_values", "runner", "slice_loader")),
)

_HEAD = '''"""Carries one node of a TwinGraph workflow out: `python run.py FOLDER`. Made by twingraph; Python 3.8 on."""
import sys
from importlib.machinery import ModuleSpec

if sys.version_info < (3, 8):
    sys.exit("TwinGraph's runner needs Python 3.8 or newer; this is Python %d.%d" % sys.version_info[:2])

'''
_TAIL = '''

class Finder:
    """Exactly these modules."""

    def find_spec(self, name, path=None, target=None):
        if name not in SOURCES:
            return None
        spec = ModuleSpec(name, self, origin="<runner>/" + name.replace(".", "/") + ".py")
        spec.has_location = True
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(SOURCES[module.__name__], module.__spec__.origin, "exec", dont_inherit=True), module.__dict__)

    def get_source(self, name):
        return SOURCES[name]


def begin():
    sys.path[0] = ""  # as for `python -m`: the folder that the image chose, not the one of this file
    finder = Finder()
    name = "twingraph.executors.slice_loader"
    loader = type(sys)(name)
    loader.__spec__ = finder.find_spec(name)
    loader.__file__ = loader.__spec__.origin
    sys.modules[name] = loader
    finder.exec_module(loader)
    sys.meta_path.insert(0, finder)
    loader.stand_in()
    from twingraph.executors.first_process import main

    main(sys.argv[1])


if __name__ == "__main__":
    begin()
'''


@cache
def text() -> str:
    """The file."""
    package = files("twingraph")
    lines = ["SOURCES = {"]
    for name in MODULES:
        source = package.joinpath(*name.split(".")[:-1], name.split(".")[-1] + ".py").read_text(encoding="utf-8")
        lines.append(f"    {'twingraph.' + name!r}: {source!r},")
    return _HEAD + "\n".join([*lines, "}"]) + _TAIL
