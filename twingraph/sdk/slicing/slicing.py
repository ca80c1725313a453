"""From a live function or class to its slice."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
import types
from collections.abc import Callable
from typing import Any

from twingraph.core.errors import SliceError
from twingraph.core.plan import IMPORTED
from twingraph.sdk.signature import is_handle
from twingraph.sdk.slicing import closures
from twingraph.sdk.slicing.grammar import Need, lowest, needs
from twingraph.sdk.slicing.hashing import Dump, code_hash
from twingraph.sdk.slicing.records import Slice, SliceModule
from twingraph.sdk.slicing.rewriting import edited_lines, module_text
from twingraph.sdk.slicing.selection import CannotSliceError, Kept, Selection
from twingraph.sdk.slicing.sources import Source, no_source, source_of

Target = Callable[..., Any] | type


def slice_of(target: Target, *, target_python: tuple[int, int] | None = None, keep_ours: bool = False) -> Slice:
    """The slice of a function, a class, or something that `@component` made.

    With `keep_ours` our decorators are kept, and the annotations that they read: loading it gives a component or
    pipeline again.

    Raises `SliceError` with file, line and remedy when no source can be found, when a free variable cannot
    be shipped, or when the code needs a newer Python than `target_python`.
    """
    given, target = target, plain(target)
    module, name = identify(target, given if keep_ours else target)
    source = source_of(module)
    if source is None:
        return _without_source(target, module, name)
    try:
        return _Slicing(target, name, source, target_python, keep_ours).result()
    except CannotSliceError as error:
        return _importing(source, module, name, error.note)


def is_nested(name: str) -> bool:
    """No name at module level reaches it."""
    return "<locals>" in name or "<lambda>" in name


def plain(target: Any) -> Any:
    """What stands under our own decorators; those of other libraries stay."""
    while (
        not is_handle(target)
        and not isinstance(target, (types.FunctionType, type))
        and callable(getattr(target, "fn", None))
    ):
        target = target.fn
    if isinstance(target, types.MethodType):
        return target.__func__
    return target


def identify(target: Any, given: Any = None) -> tuple[str, str]:
    """Its module and its name there, as this process knows them."""
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    if isinstance(target, functools.partial) or not module or not name:
        module, name = _search(target)
    if not module or not name:
        raise SliceError(f"{target!r} has no name in a module; define it with `def` at module level")
    live = sys.modules.get(module)
    if live is not None and (is_nested(name) or plain(_reach(live, name)) is not target):
        for candidate, value in list(vars(live).items()):  # `run = make(3)`: the module's own name says more
            if plain(value) is target:
                return module, candidate
    elif live is not None and given is not None and _reach(live, name) is not given:
        for candidate, value in list(vars(live).items()):  # `flow = pipeline(function)`
            if value is given:
                return module, candidate
    return module, name


def _search(target: Any) -> tuple[str | None, str | None]:
    """The module-level name of an object that does not know its own."""
    for module in ("__main__", *(name for name in sys.modules if name != "__main__")):
        for name, value in list(vars(sys.modules[module]).items()) if module in sys.modules else ():
            if (value is target or getattr(value, "fn", None) is target) and source_of(module) is not None:
                return module, name
    return None, None


def _reach(module: types.ModuleType, name: str) -> Any:
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def _without_source(target: Any, module: str, name: str) -> Slice:
    if module != "__main__" and not is_nested(name) and importlib.util.find_spec(module) is not None:
        note = f"{module} is installed or has no source to cut from; it is imported where it runs"
        return Slice(
            entry_module=module,
            entry_name=name,
            modules={},
            mode="import",
            note=note,
            code_hash=IMPORTED + code_hash({}, (module, name)),
            external=(module.partition(".")[0],),
        )
    raise no_source(module, name)


def _importing(source: Source, module: str, name: str, note: str) -> Slice:
    if is_nested(name):
        raise SliceError(f"{name} is nested and cannot be sliced ({note}); move it to module level", file=source.file)
    remedy = "; its own lines must stand under `if __name__ == '__main__':`" if source.main else ""
    if source.main and source.file.startswith("<"):
        raise SliceError(f"code without a file cannot be imported, and it cannot be sliced either: {note}")
    dump = Dump(source, set(), {}).dump(source.tree)
    return Slice(
        entry_module=source.name,
        entry_name=name,
        modules={},
        mode="import",
        file=source.file,
        main=source.main,
        note=f"not sliced, imported instead: {note}{remedy}",
        code_hash=IMPORTED + code_hash({}, (source.name, name), factory=dump),
    )


def _slice_module(kept: Kept, search: tuple[str, ...]) -> SliceModule:
    source = kept.facts.source
    text = module_text(kept)
    return SliceModule(
        file=source.file,
        text=text,
        package=source.package,
        main=source.main,
        shown=edited_lines(text, source),
        search=search,
    )


class _Slicing:
    """One target's way through selection, text, grammar and hash."""

    def __init__(self, target: Any, name: str, source: Source, python: tuple[int, int] | None, keep_ours: bool) -> None:
        self.target, self.name, self.source, self.python = target, name, source, python
        self.keep_ours = keep_ours
        self.factory: str | None = None
        self.closure: dict[str, dict[str, Any]] = {}
        self.extra: list[Need] = []
        self.factory_dump = ""

    def result(self) -> Slice:
        chosen = self._select(by_line=False)
        digest = code_hash(
            chosen.modules,
            (self.source.name, self._entry()),
            factory=self.factory_dump,
            closure=closures.canonical(self.closure),
        )
        if any(self._shares_lines(kept) for kept in chosen.modules.values()):
            chosen = self._select(by_line=True)
        found = [*self.extra]
        for kept in chosen.modules.values():
            found += [
                need
                for statement in kept.facts.statements
                if statement.index in kept.statements
                for need in needs(statement.node, kept.facts.source)
            ]
            self._check_grammar(found, kept.facts.source)
        modules = {name: _slice_module(kept, chosen.search.get(name, ())) for name, kept in chosen.modules.items()}
        return Slice(
            entry_module=self.source.name,
            entry_name=self._entry(),
            modules=modules,
            code_hash=digest,
            closure=self.closure,
            factory=self.factory,
            around=closures.around(self.target) if self.factory else "",
            external=tuple(sorted(chosen.external)),
            python=lowest(found),
            file=self.source.file,
            main=self.source.main,
            reads_file=chosen.reads_file,
        )

    def _entry(self) -> str:
        return self.name.rpartition(".")[2] if is_nested(self.name) else self.name

    def _select(self, *, by_line: bool) -> Selection:
        selection = Selection(by_line=by_line, keep_ours=self.keep_ours)
        kept = selection.add_source(self.source)
        if is_nested(self.name):
            self.factory, self.closure = self._lift(self.target, kept, selection, ())
        else:
            top = self.name.partition(".")[0]
            if top not in kept.facts.binders:
                guard = kept.facts.dropped_around(top)
                if guard is not None:
                    raise SliceError(
                        f"{self.name} is defined under `if {ast.unparse(guard.test)}:`, where nobody else finds it; "
                        "define it at module level",
                        file=self.source.file,
                        line=guard.lineno,
                    )
                raise SliceError(
                    f"{self.name} is not defined at module level by a statement of its file; "
                    "was the file changed since it was imported?",
                    file=self.source.file,
                )
            selection.require(self.source.name, top, ())
        selection.run()
        return selection

    def _lift(
        self, function: Any, kept: Kept, selection: Selection, around: tuple[Any, ...]
    ) -> tuple[str, dict[str, dict[str, Any]]]:
        file = kept.facts.source.file
        if not isinstance(function, types.FunctionType):
            raise SliceError(
                f"{function.__qualname__} is defined inside a function; move it to module level", file=file
            )
        if function in around:
            raise SliceError(
                "nested functions that use each other cannot be shipped; move them to module level",
                file=file,
                line=function.__code__.co_firstlineno,
            )
        lifted = closures.lift(function, kept)
        if lifted.facts.dynamic:
            line, note = lifted.facts.dynamic[0]
            raise CannotSliceError(note, lifted.source, line)
        selection.use(kept, lifted.facts)
        self.extra += needs(lifted.node, lifted.source)
        self.factory_dump += Dump(kept.facts.source, kept.facts.ours, {}).dump(lifted.node)

        def definition(value: Any) -> dict[str, Any]:
            return self._definition(plain(value), selection, (*around, function), value)

        closure = {
            name: closures.describe(
                value, name=name, owner=function, file=file, line=lifted.node.lineno, function=definition
            )
            for name, value in lifted.free.items()
        }
        for described in closure.values():
            if described["kind"] == "module":
                selection.take_whole(described["name"])
        return lifted.factory, closure

    def _definition(self, value: Any, selection: Selection, around: tuple[Any, ...], given: Any) -> dict[str, Any]:
        module, name = identify(value, given if self.keep_ours else value)
        source = source_of(module)
        if source is None:
            return {"kind": "name", "module": module, "name": name}
        kept = selection.add_source(source)
        if is_nested(name):
            factory, closure = self._lift(value, kept, selection, around)
            named = closures.around(value)
            return {
                "kind": "function",
                "module": source.name,
                "factory": factory,
                "closure": closure,
                "around": named,
            }
        selection.require(source.name, name.partition(".")[0], ())
        return {"kind": "name", "module": source.name, "name": name}

    def _shares_lines(self, kept: Kept) -> bool:
        return any(len(kept.facts.units[index]) > 1 for index in kept.statements)

    def _check_grammar(self, found: list[Need], source: Source) -> None:
        for version, line, what in found if self.python is not None else ():
            if self.python is not None and version > self.python:
                raise SliceError(
                    f"{what} needs Python {version[0]}.{version[1]}, the target has "
                    f"{self.python[0]}.{self.python[1]}; write it in the older syntax or choose a newer image",
                    file=source.file,
                    line=line,
                )
