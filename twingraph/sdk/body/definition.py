"""The definition of a live function in its module's text, and code made of it again where the function stands."""

from __future__ import annotations
import __future__

import ast
import copy
import linecache
import sys
import types
import warnings
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from typing import NamedTuple

from twingraph.core.errors import SliceError
from twingraph.core.syntax import parse
from twingraph.sdk.slicing.sources import PARSING, source_of

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

HOOKS = "__twingraph__"  # a parameter of the factory, so a free variable of the function
_FACTORY = "__twingraph_factory__"
_ANNOTATIONS = __future__.annotations.compiler_flag


class Definition(NamedTuple):
    """Where a function stands. The node is a copy that may be changed."""

    node: FunctionNode
    imports: tuple[ast.stmt, ...]  # of the module: the compiler calls attributes of what they bind in another way
    around: str  # the class whose name mangles private names; underscores alone mangle nothing


def definition_of(function: types.FunctionType) -> Definition | None:
    """None where no text is kept, or where it is not the one that the function was made from."""
    for text in _texts(function):
        tree = _parsed(text, function.__code__.co_filename)
        for found in _candidates(tree, function.__code__) if tree is not None else ():
            definition = found._replace(node=_bare(found.node))
            code = compiled(definition, function)
            if code is not None and _made_of(function.__code__, code):
                return definition
    return None


def compiled(definition: Definition, function: types.FunctionType) -> types.CodeType | None:
    """Code of the definition, with the function's own free variables; lines and columns are those of its file."""
    code = function.__code__
    flags = code.co_flags & _ANNOTATIONS
    try:
        with PARSING, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = compile(_factory(definition, code), code.co_filename, "exec", flags=flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    made = _inside(module, code)
    return _renamed(made, made.co_qualname, code.co_qualname) if made is not None else None


# -- text ------------------------------------------------------------------------------------------------


def _texts(function: types.FunctionType) -> Iterator[str]:
    """What may be its source, the likeliest first."""
    space = function.__globals__
    name = space.get("__name__")
    loader = getattr(space.get("__spec__"), "loader", None) or space.get("__loader__")
    if isinstance(name, str) and loader is not None and not isinstance(loader, SourceFileLoader):
        try:
            text = loader.get_source(name)
        except (AttributeError, ImportError, OSError):
            text = None
        if isinstance(text, str):
            yield text
        yield from getattr(loader, "factories", {}).get(name, ())
    lines = linecache.getlines(function.__code__.co_filename, space)
    if lines:
        yield "".join(lines)
    if isinstance(name, str) and getattr(sys.modules.get(name), "__dict__", None) is space:
        source = source_of(name)
        if source is not None:
            yield source.text


@lru_cache(maxsize=64)
def _parsed(text: str, file: str) -> ast.Module | None:
    try:
        with PARSING, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parse(text, file)
    except (SyntaxError, ValueError, RecursionError, SliceError):
        return None


def _candidates(tree: ast.Module, code: types.CodeType) -> Iterator[Definition]:
    imports = tuple(_imports(tree))
    open_nodes: list[tuple[ast.AST, str]] = [(tree, "_")]
    while open_nodes:
        node, around = open_nodes.pop()
        if isinstance(node, ast.ClassDef):
            around = node.name
        for child in ast.iter_child_nodes(node):
            if _first_line(child, code.co_name) == code.co_firstlineno:
                assert isinstance(child, FunctionNode)
                yield Definition(child, imports, around)
            open_nodes.append((child, around))


def _imports(node: ast.AST) -> Iterator[ast.stmt]:
    if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__"):
        yield node
    elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
        for child in ast.iter_child_nodes(node):
            yield from _imports(child)


def _first_line(node: ast.AST, name: str) -> int | None:
    if isinstance(node, ast.Lambda):
        return node.lineno if name == "<lambda>" else None
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
        return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return None


# -- code ------------------------------------------------------------------------------------------------


def _bare(node: FunctionNode) -> FunctionNode:
    """A copy without what is evaluated outside of it; a decorator leaves its place, where the function begins."""
    node = copy.deepcopy(node)
    nothing = ast.Constant(None)
    node.args.defaults = [ast.copy_location(nothing, node) for _ in node.args.defaults]
    node.args.kw_defaults = [default and ast.copy_location(nothing, node) for default in node.args.kw_defaults]
    if not isinstance(node, ast.Lambda):
        node.decorator_list = [ast.copy_location(ast.Constant(None), found) for found in node.decorator_list]
        node.returns = None
    for argument in ast.walk(node.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return node


def _factory(definition: Definition, code: types.CodeType) -> ast.Module:
    """`def factory(free variables): class around: definition`. In a class a function's name is not seen inside it, and
    the name of the class stays that of the module unless it is free too."""
    node = definition.node
    names = [HOOKS, *(name for name in code.co_freevars if name not in ("__class__", HOOKS))]
    module = parse(f"def {_FACTORY}({', '.join(names)}):\n class {definition.around}: pass")
    outer = module.body[0]
    assert isinstance(outer, ast.FunctionDef)
    inner = outer.body[0]
    assert isinstance(inner, ast.ClassDef)
    if definition.around not in names:
        outer.body.insert(0, ast.copy_location(ast.Global([definition.around]), inner))
    inner.body = [ast.copy_location(ast.Expr(node), node) if isinstance(node, ast.Lambda) else node]
    module.body[:0] = definition.imports
    return module


def _inside(code: types.CodeType, wanted: types.CodeType) -> types.CodeType | None:
    """The first code of that name and line, the outer ones first."""
    waiting = deque([code])
    while waiting:
        for constant in waiting.popleft().co_consts:
            if isinstance(constant, types.CodeType):
                if (constant.co_name, constant.co_firstlineno) == (wanted.co_name, wanted.co_firstlineno):
                    return constant
                waiting.append(constant)
    return None


def _renamed(code: types.CodeType, old: str, new: str) -> types.CodeType:
    """The factory goes from the qualified names, of the classes inside too, whose code has them as a constant."""

    def name(known: str) -> str:
        return new + known[len(old) :] if known.startswith(old) else known

    def constant(known: object) -> object:
        if isinstance(known, types.CodeType):
            return _renamed(known, old, new)
        return name(known) if isinstance(known, str) else known

    constants = tuple(constant(known) for known in code.co_consts)
    return code.replace(co_consts=constants, co_qualname=name(code.co_qualname))


def _made_of(live: types.CodeType, made: types.CodeType) -> bool:
    """Whether text and function belong together. pytest changes the asserts of a module: then the frame decides."""
    if _frame(live) != _frame(made):
        return False
    return _same(live, made) or _asserts_changed(live)


def _frame(code: types.CodeType) -> tuple[object, ...]:
    arguments = code.co_argcount + code.co_kwonlyargcount
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & 0x2AC)
    return (*counts, code.co_varnames[:arguments], code.co_freevars)


def _same(live: types.CodeType, made: types.CodeType) -> bool:
    if len(live.co_consts) != len(made.co_consts) or live.co_name != made.co_name:
        return False
    if (live.co_code, live.co_linetable, live.co_names) != (made.co_code, made.co_linetable, made.co_names):
        return False
    if (live.co_varnames, live.co_cellvars) != (made.co_varnames, made.co_cellvars):
        return False
    return all(_same_constant(one, other) for one, other in zip(live.co_consts, made.co_consts, strict=True))


def _same_constant(live: object, made: object) -> bool:
    if isinstance(live, types.CodeType) and isinstance(made, types.CodeType):
        return _same(live, made)
    return type(live) is type(made) and live == made


def _asserts_changed(code: types.CodeType) -> bool:
    if any(name.startswith("@py_") for name in (*code.co_varnames, *code.co_names)):
        return True
    return any(_asserts_changed(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
