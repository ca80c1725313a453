"""Loads a bundle of slices in memory and hands out its callables.

This one file is shipped into containers and run by any Python from 3.8 on: standard library only, nothing newer than
3.8, no import of twingraph. Modules of the bundle come from a finder that stands first on `sys.meta_path`;
they carry the user's file names and lines, so tracebacks show the user's own source.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import linecache
import sys
import threading
import types
from typing import Any, cast

FORMAT = 1
FACTORY = "__twingraph_factory__"
_CONTEXT = "twingraph.executors.context"


class _Finder:
    """Exactly the modules of one bundle, and empty packages above them."""

    def __init__(self, modules: dict[str, Any], factories: dict[str, list[str]]) -> None:
        self.modules = modules
        self.factories = factories  # of functions that no text of a module holds
        self.parents: set[str] = set()
        for name in modules:
            parts = name.split(".")
            self.parents.update(".".join(parts[:count]) for count in range(1, len(parts)))

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        record = self.modules.get(fullname)
        if record is None and fullname not in self.parents:
            return None
        package = fullname in self.parents or (record is not None and bool(record["package"]))
        origin: str | None = record["file"] if record is not None else None
        spec = importlib.machinery.ModuleSpec(fullname, cast(Any, self), origin=origin, is_package=package)
        if package:
            spec.submodule_search_locations = list(record.get("search") or ()) if record is not None else []
        spec.has_location = origin is not None
        return spec

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        record = self.modules.get(module.__name__)
        if record is not None:
            code = compile(record["text"], record["file"], "exec", dont_inherit=True)
            exec(code, module.__dict__)

    def get_source(self, fullname: str) -> str | None:
        record = self.modules.get(fullname)
        text: str | None = record["text"] if record is not None else None
        return text

    def is_package(self, fullname: str) -> bool:
        return fullname in self.parents or bool(self.modules[fullname]["package"])


class _StandIn:
    """A tiny `twingraph` for machines without it, so that code which mentions it loads. Asked last."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != "twingraph":
            return None
        return importlib.machinery.ModuleSpec(fullname, cast(Any, self), is_package=True)

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        def unchanged(*args: Any, **settings: Any) -> Any:
            if len(args) == 1 and callable(args[0]) and not settings:
                return args[0]
            return lambda target: target

        class BaseComponent:
            """Base class of components, without the engine around it."""

            def __init__(self, config: Any = None, **settings: Any) -> None:
                self.config = dict(config or {}, **settings)

            def validate_inputs(self, inputs: Any) -> bool:
                return True

        class TwinGraphError(Exception):
            """Root of the errors that TwinGraph raises."""

        class PermanentError(TwinGraphError):
            """Trying again cannot help."""

        class CodecError(PermanentError):
            """A value cannot be stored, or what was stored cannot be read back."""

        for kind in (BaseComponent, TwinGraphError, PermanentError, CodecError):  # as tracebacks name them elsewhere
            kind.__module__ = "twingraph.core.errors" if issubclass(kind, Exception) else "twingraph.sdk.base_component"
            kind.__qualname__ = kind.__name__

        def absent(name: str) -> Any:
            if name.startswith("__") or _is_there(module.__name__ + "." + name):
                raise AttributeError(name)
            if name == "current" and _CONTEXT in sys.modules:
                return sys.modules[_CONTEXT].current

            def refuse(*args: Any, **settings: Any) -> Any:
                raise RuntimeError(f"twingraph.{name} is not there: TwinGraph is not installed where this code runs")

            return refuse

        module.__getattr__ = absent
        if module.__name__ != "twingraph":
            shared = importlib.import_module("twingraph")
            module.__dict__.update((k, v) for k, v in vars(shared).items() if not k.startswith("__"))
            return

        def runs_nothing_yet(*args: Any, **settings: Any) -> Any:
            """A whole module may run a pipeline at its top, which would run as plain calls there, for each node."""
            if args and callable(args[0]):
                return _refusing(args[0])
            return lambda target: _refusing(target)

        module.component = module.register_component = unchanged
        module.pipeline = runs_nothing_yet
        module.BaseComponent = BaseComponent
        module.TwinGraphError = TwinGraphError
        module.PermanentError = PermanentError
        module.CodecError = CodecError


def loading() -> list[str]:
    """What is just being loaded, as all that runs here sees it."""
    return sys.modules[_CONTEXT].loading if _CONTEXT in sys.modules else []


def _refusing(target: Any) -> Any:
    """A pipeline as its plain function, which is not to be called by the module that defines it."""
    entries = loading()
    if not entries:
        return target

    def called(*args: Any, **inputs: Any) -> Any:
        if entries:
            raise RuntimeError(
                f"a workflow is run while the module {entries[-1]} is imported; put the statement that runs it below "
                "`if __name__ == '__main__':`"
            )
        return target(*args, **inputs)

    return called


def _is_there(name: str) -> bool:
    """Whether the import of a module of that name finds more than a stand-in."""
    finders: list[Any] = [finder for finder in sys.meta_path if not isinstance(finder, _StandIn)]
    return any(finder.find_spec(name, []) is not None for finder in finders)


def stand_in() -> None:
    """From now on `import twingraph` works, also where it is not installed."""
    if not any(isinstance(finder, _StandIn) for finder in sys.meta_path):
        sys.meta_path.append(cast(Any, _StandIn()))


_OF_MODULE = (("file", str), ("text", str), ("package", bool), ("main", bool))
_OF_FACTORY = (("module", str), ("factory", str), ("closure", dict))
_OF_VALUE = {"literal": ("repr",), "module": ("name",), "name": ("module", "name"), "self": ()}


def _check(bundle: Any) -> None:
    """What is not as it was packed is refused as a whole, before any of it runs."""
    modules, entries = _part(bundle, "modules", dict), _part(bundle, "entries", dict)
    for record in modules.values():
        for key, kind in _OF_MODULE:
            _part(record, key, kind)
        for place, line in (_part(record, "shown", dict) if record.get("shown") else {}).items():
            if not place.isdecimal() or type(line) is not str:
                raise _damaged("a line that is shown")
    for entry in entries.values():
        if _part(entry, "mode", str) == "refused":
            _part(entry, "note", str)
            _part(entry, "factory", type(None))
            continue
        if entry["mode"] not in ("slice", "import", "image", "project"):
            raise _damaged("the mode of an entry")
        if entry["mode"] == "project":
            _part(_part(bundle, "projects", dict), _part(entry, "project", str), str)
            _part({"script": "", **entry}, "script", str)
        for key in ("name", "file"):
            _part(entry, key, str)
        _check_place(_part(entry, "module", str), None)
        if entry.get("factory", ...) is not None:
            _check_factory(entry, modules, 0)


def _check_factory(made: Any, modules: dict[str, Any], depth: int) -> None:
    for key, kind in _OF_FACTORY:
        _part(made, key, kind)
    _check_place(made["module"], modules)
    if depth > 100 or type(made.get("around")) not in (str, type(None)):
        raise _damaged("a nested function")
    for value in made["closure"].values():
        kind = _part(value, "kind", str)
        if kind == "function":
            _check_factory(value, modules, depth + 1)
        elif kind not in _OF_VALUE:
            raise _damaged("a value that a function closes over")
        else:
            for key in _OF_VALUE[kind]:
                _part(value, key, str)
            if kind != "literal" and kind != "self":
                _check_place(value["module" if kind == "name" else "name"], None)


def _check_place(name: str, modules: dict[str, Any] | None) -> None:
    if not name or name[0] == "." or (modules is not None and name not in modules):
        raise _damaged("the name of a module")


def _part(raw: Any, key: str, kind: type) -> Any:
    if type(raw) is not dict or key not in raw or type(raw[key]) is not kind:
        raise _damaged(repr(key))
    return raw[key]


def _damaged(what: str) -> ImportError:
    return ImportError("this bundle of code is damaged: " + what + " is not as it was packed")


class Loaded:
    """The callables of one bundle, each made when it is first asked for."""

    def __init__(self, bundle: dict[str, Any], folder: str = "") -> None:
        """`folder`: where whole projects are unpacked; '' is one of this process alone."""
        if type(bundle) is not dict or bundle.get("format") != FORMAT:
            found = bundle.get("format") if type(bundle) is dict else None
            raise ImportError(f"this bundle has format {found!r}, this loader reads {FORMAT!r}")
        _check(bundle)
        self.modules: dict[str, Any] = bundle["modules"]
        self.entries: dict[str, Any] = bundle["entries"]
        self.main_modules = frozenset(name for name, record in self.modules.items() if record["main"])
        self._made: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._finder = _Finder(self.modules, _factories(self.entries.values()))
        self._hidden: dict[str, Any] = {}
        self._resting: dict[str, Any] = {}
        self.projects: dict[str, str] = bundle.get("projects") or {}
        self.folder = folder
        self.standing: Any = None  # what stands in place of slices, once whole modules were asked for

    def install(self) -> None:
        """Put the finder in place; modules of the same names that were loaded before give way."""
        if self.standing is not None:
            self.standing.enter()
            return
        for name in [*self.modules, *(self._finder.parents - set(self.modules))]:
            if name in sys.modules and not self._is_own(sys.modules[name]):
                self._hidden[name] = sys.modules.pop(name)
        sys.modules.update(self._resting)
        sys.meta_path.insert(0, self._finder)
        importlib.invalidate_caches()
        stand_in()
        for name, record in self.modules.items():
            _show(record["file"], record["text"], record.get("shown"), self._finder.factories.get(name, ()))
        for entry in self.entries.values():
            if entry["factory"] and entry["file"] not in linecache.cache:
                _show(entry["file"], entry["factory"])

    def withdraw(self) -> None:
        """The opposite: what gave way is there again, until the next `install`."""
        if self.standing is not None:
            self.standing.leave()
            return
        sys.meta_path.remove(self._finder)
        own = [name for name, module in list(sys.modules.items()) if self._is_own(module)]
        self._resting = {name: sys.modules.pop(name) for name in own}
        sys.modules.update(self._hidden)
        self._hidden = {}

    def _is_own(self, module: Any) -> bool:
        return getattr(module, "__loader__", None) is self._finder

    def get(self, key: str) -> Any:
        """The callable or class of an entry; KeyError when the bundle has none of that key."""
        with self._lock:
            if key not in self._made:
                self._made[key] = self._make(self.entries[key])
            return self._made[key]

    def _make(self, entry: dict[str, Any]) -> Any:
        if entry["mode"] == "refused":
            raise ImportError(entry["note"])
        if entry["mode"] in ("image", "project"):
            from twingraph.executors.project import whole

            return whole(self, entry)
        if entry["mode"] == "import":
            return _reach(self._imported(entry), entry["name"])
        if entry["factory"]:
            return self._build(entry)
        return _reach(importlib.import_module(entry["module"]), entry["name"])

    def _build(self, entry: dict[str, Any]) -> Any:
        name, factory, closure = entry["module"], entry["factory"], entry["closure"]
        module = importlib.import_module(name)
        values: dict[str, Any] = {}
        own: list[str] = []
        for free, value in closure.items():
            if value["kind"] == "self":
                values[free] = None
                own.append(free)
            else:
                values[free] = self._value(value)
        filename = self.modules[name]["file"]
        space: dict[str, Any] = {}
        code = _named(compile(factory, filename, "exec", dont_inherit=True), entry.get("around"))
        exec(code, module.__dict__, space)
        if FACTORY not in space:
            raise _damaged("a nested function")
        made = types.FunctionType(space[FACTORY].__code__, module.__dict__)(**values)
        function = made if isinstance(made, types.FunctionType) else getattr(made, "fn", made)
        for free in own:
            code = function.__code__
            if free in code.co_freevars:
                cast(Any, function.__closure__)[code.co_freevars.index(free)].cell_contents = made
        return made

    def _value(self, value: dict[str, Any]) -> Any:
        kind = value["kind"]
        if kind == "literal":
            import ast  # rare, and it costs as much as everything else here

            return ast.literal_eval(value["repr"])
        if kind == "module":
            return importlib.import_module(value["name"])
        if kind == "name":
            return _reach(importlib.import_module(value["module"]), value["name"])
        return self._build(value)

    def _imported(self, entry: dict[str, Any]) -> Any:
        try:
            return self._import_whole(entry)
        except (ModuleNotFoundError, FileNotFoundError) as error:
            from twingraph.executors.project import not_there

            told = not_there(entry, error)
            if told is None:
                raise
            raise told from error

    def _import_whole(self, entry: dict[str, Any]) -> Any:
        """Code that cannot be sliced: its real module, with real neighbours, apart from the pruned ones."""
        hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name in self.modules}
        sys.meta_path.remove(self._finder)
        try:
            if not entry["main"]:
                return importlib.import_module(entry["module"])
            spec = importlib.util.spec_from_file_location(entry["module"], entry["file"])
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[entry["module"]] = module
            spec.loader.exec_module(module)
            return module
        finally:
            sys.meta_path.insert(0, self._finder)
            sys.modules.update(hidden)


def _reach(value: Any, name: str) -> Any:
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _named(code: types.CodeType, around: str | None) -> types.CodeType:
    """What a factory makes is called as before: `outer.<locals>.inner`. Before 3.11 it is called after the factory."""
    if not around or sys.version_info < (3, 11):
        return code
    inside = [_named(one, around) if isinstance(one, types.CodeType) else one for one in code.co_consts]
    return code.replace(co_consts=tuple(inside), co_qualname=code.co_qualname.replace(FACTORY, around, 1))


def _factories(entries: Any) -> dict[str, list[str]]:
    """Module to the sources of its nested functions, also of those that others close over."""
    found: dict[str, list[str]] = {}
    todo = list(entries)
    while todo:
        made = todo.pop()
        if made.get("factory"):
            found.setdefault(made["module"], []).append(made["factory"])
            todo.extend(made["closure"].values())
    return found


def _show(file: str, text: str, shown: dict[str, str] | None = None, factories: Any = ()) -> None:
    """Give tracebacks the source that really runs: the user's file may be absent here, or changed since."""
    lines = [line + "\n" for line in text.split("\n")]
    for factory in factories:
        added = factory.split("\n")
        lines.extend(["\n"] * (len(added) - len(lines)))
        for number, line in enumerate(added):
            if line.strip() and FACTORY not in line and not lines[number].strip():
                lines[number] = line + "\n"
    for place, line in (shown or {}).items():
        if 0 < int(place) <= len(lines):
            lines[int(place) - 1] = line + "\n"
    linecache.cache[file] = (len(text), None, lines, file)


def load(bundle: dict[str, Any], folder: str = "") -> Loaded:
    """Install a bundle in this process. One bundle per process: a second one takes the names of the first."""
    loaded = Loaded(bundle, folder)
    loaded.install()
    return loaded
