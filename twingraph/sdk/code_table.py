"""The code behind one plan or one pipeline: what is shipped under which entry, and what a call of it must know."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from types import FunctionType
from typing import Any

from twingraph.core.caching import function_in, with_entry
from twingraph.core.codec import encode
from twingraph.core.errors import Problem, ValidationError
from twingraph.core.signatures import ComponentInfo
from twingraph.core.syntax import parse
from twingraph.sdk import signature
from twingraph.sdk.base_component import BaseComponent
from twingraph.sdk.component import Component
from twingraph.sdk.sameness import closed_over, frozen, place


class CodeTable:
    """The code behind one plan: entry key -> function or class, or the source text of a code node."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self._infos: dict[int, tuple[ComponentInfo, Any]] = {}  # with what it closed over then
        self._states: dict[str, Any] = {}  # by entry: what makes its code differ from others of its name
        self._kept: list[Any] = []  # alive, so that their ids stay theirs

    def info(self, target: Any, name: str | None = None) -> ComponentInfo:
        known = self._infos.get(id(target))
        if known is None or name is not None or known[1] != (None if known[1] is None else closed_over(target)):
            found, state = _info_of(target, name), frozen(target)
            shipped = signature.shipped_entry(found.entry, found.settings.get("ship", "slice"))
            entry = place(shipped, state, self._states)
            found = found if entry == found.entry else replace(found, entry=entry)
            self.objects[entry], self._states[entry] = signature.code_of(target), state
            found = self._with_key(found)
            known = self._infos[id(target)] = found, closed_over(target)
            self._kept.append(target)
        return known[0]

    def _with_key(self, info: ComponentInfo) -> ComponentInfo:
        """A function that says the key of cached work is shipped as well, under an entry of its own."""
        function = function_in(info.settings.get("cache"))
        if function is None:
            return info
        state = frozen(function)
        entry = place(f"key {signature.entry_of(function)}", state, self._states)
        self.objects[entry], self._states[entry] = function, state
        return replace(info, settings={**info.settings, "cache": with_entry(info.settings["cache"], entry)})

    def shipped(self, info: ComponentInfo, ship: str) -> ComponentInfo:
        """The same code, which travels in another way."""
        if info.entry in self.sources:
            raise ValidationError("is code that stands in the workflow itself, and travels with that; leave `ship` out")
        name, _, number = info.entry.rpartition("#")  # see `place`
        plain, state = name if number.isdecimal() else info.entry, self._states[info.entry]
        entry = place(signature.shipped_entry(plain, ship), state, self._states)
        self.objects[entry], self._states[entry] = self.objects[info.entry], state
        return replace(info, entry=entry)

    def code(self, node: str, text: Any) -> ComponentInfo:
        function = compile_code(node, text)
        parameters, further = signature.parameters_of(function)
        entry = f"code_{len(self.sources)}:run"
        for key, known in self.sources.items():
            if known == text:
                entry = key
        self.sources[entry] = text
        return ComponentInfo(
            name="code",
            entry=entry,
            parameters=parameters,
            open=further,
            outputs=signature.outputs_of(function),
            asynchronous=signature.is_asynchronous(function),
        )


def _info_of(target: Any, name: str | None) -> ComponentInfo:
    if isinstance(target, Component):
        made = target.definition
        return ComponentInfo(
            name=made.name,
            entry=signature.entry_of(target),
            parameters=made.parameters,
            open=made.open,
            outputs=target.outputs,
            settings=made.settings,
            asynchronous=signature.is_asynchronous(target.fn),
        )
    if isinstance(target, BaseComponent):
        found = _class_info(type(target), name)
        return ComponentInfo(
            name=found.name,
            entry=found.entry,
            parameters=found.parameters,
            open=found.open,
            outputs=found.outputs,
            has_options=True,
            options=encode(target.config).text,
            asynchronous=found.asynchronous,
        )
    if isinstance(target, type) and issubclass(target, BaseComponent):
        return _class_info(target, name)
    if isinstance(target, FunctionType):
        parameters, further = signature.parameters_of(target)
        return ComponentInfo(
            name=name or target.__name__,
            entry=signature.entry_of(target),
            parameters=parameters,
            open=further,
            outputs=signature.outputs_of(target),
            asynchronous=signature.is_asynchronous(target),
        )
    raise ValidationError(f"a component is a function or a BaseComponent, not {target!r}")


def _class_info(kind: type[BaseComponent], name: str | None) -> ComponentInfo:
    execute: Callable[..., Any] = kind.execute
    if execute is BaseComponent.execute:
        raise ValidationError(f"{kind.__name__} needs a method execute(self, ...)")
    parameters, further = signature.parameters_of(execute, skip_self=True)
    return ComponentInfo(
        name=name or kind.__name__,
        entry=signature.entry_of(kind),
        parameters=parameters,
        open=further,
        outputs=signature.outputs_of(execute),
        has_options=True,
        options="{}",
        asynchronous=signature.is_asynchronous(execute),
    )


def compile_code(node: str, text: Any) -> FunctionType:
    """A function with the signature of a code node's `run`. The text itself is read, never run."""
    if not isinstance(text, str) or not text.strip():
        raise ValidationError([Problem(node=node, field="code", message="must be Python that defines run(...)")])
    try:
        tree = parse(text)
    except SyntaxError as error:
        raise ValidationError(
            [Problem(node=node, field="code", message=f"line {error.lineno}: {error.msg}")]
        ) from error
    runs = [one for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name == "run"]
    if not runs:
        raise ValidationError([Problem(node=node, field="code", message="defines no function `run`")])
    return _shell(runs[-1])


def _shell(run: ast.FunctionDef | ast.AsyncFunctionDef) -> FunctionType:
    """The same signature over nothing: defaults become None and annotations texts, so that no user code runs."""
    arguments = run.args
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [None if one is None else ast.Constant(None) for one in arguments.kw_defaults]
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    for one in every:
        if one is not None and one.annotation is not None:
            one.annotation = ast.Constant(_safe_annotation(one.annotation))
    returns = None if run.returns is None else ast.Constant(_safe_annotation(run.returns))
    shell = ast.FunctionDef(name="run", args=arguments, body=[ast.Pass()], decorator_list=[], returns=returns)
    if "type_params" in shell._fields:  # 3.12 and newer
        shell.type_params = []  # type: ignore[attr-defined,unused-ignore]
    module = ast.fix_missing_locations(ast.Module(body=[ast.copy_location(shell, run)], type_ignores=[]))
    namespace: dict[str, Any] = {}
    exec(compile(module, "<code node>", "exec"), namespace)
    found: FunctionType = namespace["run"]
    return found


_SAFE = (ast.Name, ast.Load, ast.Subscript, ast.Tuple, ast.BinOp, ast.BitOr, ast.Constant)


def _safe_annotation(hint: ast.expr) -> str:
    """Plain annotations only: what calls or looks up attributes is not evaluated."""
    safe = all(isinstance(part, _SAFE) for part in ast.walk(hint))
    return ast.unparse(hint) if safe else "unknown_annotation"
