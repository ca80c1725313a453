"""Small questions about one node of a syntax tree: names, chains of attributes, imports, annotations."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from twingraph.core.recordclass import recordclass

Chain = tuple[str, ...]


# fmt: off
_SILENT = frozenset({
    "staticmethod", "classmethod", "property", "setter", "getter", "deleter", "abstractmethod",
    "cached_property", "lru_cache", "cache", "contextmanager", "asynccontextmanager", "wraps", "overload",
    "override", "final", "total_ordering",
})
# fmt: on


@recordclass(kw_only=False)
class ImportRef:
    """One alias of one import statement; `module` is absolute."""

    module: str
    name: str | None  # None: `import module`
    bound: str
    dotted: bool  # `import a.b` without `as` binds `a`
    line: int

    @property
    def root(self) -> str:
        """The module that the bound name stands for, when it stands for one."""
        return self.module.partition(".")[0] if self.dotted else self.module


def chain_of(node: ast.AST) -> tuple[str, Chain] | None:
    """`a.b.c` as ('a', ('b', 'c')); None when the root is not a name."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, tuple(reversed(attributes))) if isinstance(node, ast.Name) else None


def root_of(node: ast.AST) -> tuple[str, Chain] | None:
    """The name behind `a.b[0].c`, with the attributes up to the first subscript."""
    while True:
        found = chain_of(node)
        if found is not None:
            return found
        if isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return None


def is_type_checking(test: ast.expr) -> bool:
    found = chain_of(test)
    return found is not None and ([found[0], *found[1]][-1] == "TYPE_CHECKING")


def is_main_guard(test: ast.expr) -> bool:
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return False
    sides = (test.left, test.comparators[0])
    return any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides) and any(
        isinstance(side, ast.Constant) and side.value == "__main__" for side in sides
    )


def absolute_module(node: ast.ImportFrom, package: str) -> str:
    """The module of a from-import with its dots resolved."""
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    kept = parts[: len(parts) - (node.level - 1)] if node.level > 1 else parts
    return ".".join([*kept, *([node.module] if node.module else [])])


def import_refs(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[ImportRef]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            yield ImportRef(alias.name, None, bound, alias.asname is None, node.lineno)
        return
    module = absolute_module(node, package)
    for alias in node.names:
        yield ImportRef(module, alias.name, alias.asname or alias.name, False, node.lineno)


def type_params(node: ast.AST) -> Sequence[ast.AST]:
    return getattr(node, "type_params", None) or ()


def keeps_annotations(decorators: Sequence[ast.expr]) -> bool:
    """A decorator of another library may read annotations (singledispatch, validators); the well-known ones do not."""
    for decorator in decorators:
        found = chain_of(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if found is None or [found[0], *found[1]][-1] not in _SILENT:
            return True
    return False


def ships_annotations(
    node: ast.FunctionDef | ast.AsyncFunctionDef, decorators: Sequence[ast.expr], ours: set[str] | None
) -> bool:
    """Decorators of ours, where they are kept (`ours` is None), read signatures: their own, and those of `execute`."""
    return keeps_annotations(decorators) or (ours is None and node.name == "execute")


def all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    extra = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


def annotations_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    for argument in all_arguments(node.args):
        if argument.annotation is not None:
            yield argument.annotation
    if node.returns is not None:
        yield node.returns


def bound_targets(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for target in nodes:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                yield node.id
