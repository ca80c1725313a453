"""What the Python of a place reads first: it brings the runner's modules to life. Python 3.8, standard library only.

Nothing is installed there, and many images lack the compiled form of Python's own modules, so that most of a short
run's time would be spent on compiling. What a place has compiled once can be kept (`collect`) and is handed to later
ones: only a Python of the very same build takes it, and a module of the standard library only beside the same file.
"""

from __future__ import annotations

import _frozen_importlib_external as _files
import marshal
import sys
from _frozen_importlib import ModuleSpec
from typing import Any, Callable, Dict, List, Set, Tuple, cast

STAMP = repr((sys.version, sys.implementation.cache_tag, getattr(_files, "MAGIC_NUMBER", None))).encode() + b"\n"
_FIRST = "twingraph.executors.slice_loader"
# What most runs come to need, past what everything here stands on.
_USUAL = ("traceback", "twingraph.core.codec", "twingraph.core.codec_encode", "twingraph.core.codec_decode")

Codes = Dict[str, Tuple[Any, ...]]


class Finder:
    """Exactly the runner's modules, and those of the standard library whose compiled form was kept."""

    def __init__(self, sources: bytes, kept: bytes) -> None:
        self._packed = sources
        self._sources: Dict[str, str] = {}  # noqa: UP006
        self.codes: Dict[str, Any] = {}  # noqa: UP006
        self.library: Codes = {}
        if kept.startswith(STAMP):
            self.codes, self.library = marshal.loads(kept[len(STAMP) :])

    @property
    def sources(self) -> Dict[str, str]:  # noqa: UP006
        if not self._sources:
            import zlib

            self._sources = marshal.loads(zlib.decompress(self._packed))
        return self._sources

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name in self.library:
            code, origin, stats, is_package = self.library[name]
            inside = [origin.rpartition("/")[0]] if is_package else None
            loader = Kept(name, origin, code, stats)
            return _files.spec_from_file_location(name, origin, loader=loader, submodule_search_locations=inside)
        if name[:10] != "twingraph." or (name not in self.codes and name not in self.sources):
            return None
        spec = ModuleSpec(name, cast(Any, self), origin=_file_of(name))
        spec.has_location = True
        return spec

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(self.code(module.__name__), module.__dict__)

    def code(self, name: str) -> Any:
        if name not in self.codes:
            self.codes[name] = compile(self.sources[name], _file_of(name), "exec", dont_inherit=True)
        return self.codes[name]

    def get_source(self, name: str) -> str:
        return self.sources[name]


class Kept(_files.SourceFileLoader):
    """A module of the standard library; compiled anew where its file is another one."""

    def __init__(self, name: str, path: str, code: Any, stats: Any) -> None:
        super().__init__(name, path)
        self._kept = (code, stats)

    def get_code(self, fullname: str) -> Any:
        code, stats = self._kept
        try:
            same = self.path_stats(self.path) == stats
        except OSError:
            same = False
        return code if same else super().get_code(fullname)


def _file_of(name: str) -> str:
    return "<runner>/" + name.replace(".", "/") + ".py"


def collect(finder: Finder, before: Set[str]) -> bytes:  # noqa: UP006
    """All that was compiled here because nobody had. To be called before any foreign code runs."""
    import importlib
    import os

    for name in _USUAL:
        importlib.import_module(name)
    library: Codes = {}
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        loader = getattr(spec, "loader", None)
        if name in before or not isinstance(loader, _files.SourceFileLoader) or spec is None:
            continue
        if spec.cached is not None and not os.path.exists(spec.cached):
            stats = loader.path_stats(loader.path)
            library[name] = (loader.get_code(name), loader.path, stats, spec.submodule_search_locations is not None)
    return STAMP + marshal.dumps(({name: finder.code(name) for name in finder.sources}, library))


def begin(read: Callable[[int], bytes]) -> None:
    """`read` gives so many bytes of what the place is told, or ends it."""
    given = marshal.loads(read(int(read(9))))
    before = set(sys.modules)
    here: List[str] = []  # noqa: UP006
    if sys.path[:1] == [""]:  # the folder that the image chose is there for the author's modules alone
        here = [sys.path.pop(0)]
    finder = Finder(given["sources"], given["kept"])
    loader = type(sys)(_FIRST)
    loader.__spec__ = finder.find_spec(_FIRST)
    loader.__file__ = loader.__spec__.origin
    sys.modules[_FIRST] = loader
    finder.exec_module(loader)
    sys.meta_path.insert(0, cast(Any, finder))
    loader.stand_in()
    from twingraph.executors.first_process import FirstProcess

    first = FirstProcess(given["folder"], given["token"], given["idle"])
    if given["keep"]:
        first.tell_kept(collect(finder, before))
    sys.path[:0] = here
    first.serve()
