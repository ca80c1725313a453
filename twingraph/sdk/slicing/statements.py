"""The statements of one module, each with what it does to the module's names."""

from __future__ import annotations

import ast
from dataclasses import field
from functools import cached_property

from twingraph.core.recordclass import recordclass
from twingraph.sdk.slicing.scopes import Facts, ScopeWalk
from twingraph.sdk.slicing.sources import Source
from twingraph.sdk.slicing.syntax import ImportRef, chain_of, import_refs, is_main_guard, is_type_checking, root_of

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@recordclass(frozen=False, kw_only=False)
class Statement:
    """One top-level statement."""

    index: int
    node: ast.stmt
    first: int  # first line, decorators included
    last: int
    facts: Facts
    refs: tuple[ImportRef, ...] = ()  # of a plain import statement, which can be kept alias by alias
    runs_ours: bool = False  # a bare call that starts a run; never repeated in a worker
    future: bool = False

    @property
    def is_definition(self) -> bool:
        return isinstance(self.node, _DEFINITIONS)

    @property
    def makes_callable(self) -> bool:
        """A definition, or `double = lambda x: 2 * x`."""
        named = isinstance(self.node, (ast.Assign, ast.AnnAssign)) and isinstance(self.node.value, ast.Lambda)
        return named or self.is_definition


@recordclass(frozen=False, kw_only=False, slots=False)
class ModuleFacts:
    """Everything the selection asks about one module."""

    source: Source
    statements: list[Statement]
    ours: set[str] | None
    """Names whose decorators are not shipped; None where all are kept."""
    known: set[str] = field(default_factory=set)
    """Names that stand for TwinGraph or something made from it."""
    binders: dict[str, list[Statement]] = field(default_factory=dict)

    @cached_property
    def units(self) -> dict[int, list[Statement]]:
        """Statement index to all statements that share a line with it."""
        groups: list[list[Statement]] = []
        for statement in self.statements:
            if groups and statement.first <= groups[-1][-1].last:
                groups[-1].append(statement)
            else:
                groups.append([statement])
        return {statement.index: group for group in groups for statement in group}

    @cached_property
    def imports_of(self) -> dict[str, list[ImportRef]]:
        """Bound name to the module-level imports that bind it."""
        found: dict[str, list[ImportRef]] = {}
        for statement in self.statements:
            for ref in statement.refs or statement.facts.imports:
                if ref.bound in statement.facts.binds or statement.refs:
                    found.setdefault(ref.bound, []).append(ref)
        return found

    @cached_property
    def alias_roots(self) -> dict[str, set[str]]:
        """Name to the names that it may share an object with (`a = b`, `for a in b`)."""
        roots: dict[str, set[str]] = {}
        for statement in self.statements:
            for name, root in statement.facts.aliases:
                roots.setdefault(name, set()).add(root)
        return roots

    def dropped_around(self, name: str) -> ast.If | None:
        """The `if` around the definition of a name that holds in a script alone."""
        guards = (node for node in self.source.tree.body if isinstance(node, ast.If) and _is_dropped(node))
        for guard in guards:
            if any(isinstance(node, _DEFINITIONS) and node.name == name for node in ast.walk(guard)):
                return guard
        return None

    def effects(self, name: str) -> tuple[set[tuple[str, tuple[str, ...]]], bool]:
        """Names changed in place when `name` is called, and whether calling it starts a run of ours."""
        changed: set[tuple[str, tuple[str, ...]]] = set()
        runs = False
        seen: set[str] = set()
        pending = [name]
        while pending:
            current = pending.pop()
            if current in seen:
                continue
            seen.add(current)
            if current in self.targets:
                runs = True
                continue
            pending.extend(self.alias_roots.get(current, ()))
            for statement in self.binders.get(current, ()):
                if statement.makes_callable:
                    changed.update(statement.facts.lazy_mutates)
                    pending.extend(called for called, _ in statement.facts.lazy_calls)
                    pending.extend(_bases(statement.node))
        return changed, runs

    @cached_property
    def targets(self) -> set[str]:
        """Names that are components, pipelines or workflows of ours in the plain run."""
        return {
            name
            for statement in self.statements
            for name in statement.facts.binds
            if _is_target(statement.node, self.known)
        }


def read_module(source: Source, *, keep_ours: bool = False) -> ModuleFacts:
    """Facts of every top-level statement; cached on the source object."""
    place = "_facts_with_ours" if keep_ours else "_facts"
    known: ModuleFacts | None = source.__dict__.get(place)
    if known is not None:
        return known
    names = _our_names(source)
    ours = None if keep_ours else names
    statements = [
        _statement(index, node, source, ours) for index, node in enumerate(source.tree.body) if not _is_dropped(node)
    ]
    for index, statement in enumerate(statements):
        statement.index = index
    facts = ModuleFacts(source=source, statements=statements, ours=ours, known=names)
    for statement in statements:
        for name in statement.facts.binds:
            facts.binders.setdefault(name, []).append(statement)
    for statement in statements:
        statement.runs_ours = _runs_ours(statement, facts)
    source.__dict__[place] = facts
    return facts


def _is_dropped(node: ast.stmt) -> bool:
    if isinstance(node, ast.If) and not node.orelse:
        return is_type_checking(node.test) or is_main_guard(node.test)
    return (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) or (
        isinstance(node, ast.AnnAssign) and node.value is None
    )


def _statement(index: int, node: ast.stmt, source: Source, ours: set[str] | None) -> Statement:
    walk = ScopeWalk(source.package_name, ours)
    walk.visit(node)
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    refs: tuple[ImportRef, ...] = ()
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        refs = tuple(import_refs(node, source.package_name))
    future = isinstance(node, ast.ImportFrom) and node.module == "__future__" and not node.level
    return Statement(index, node, first, node.end_lineno or node.lineno, walk.facts, refs, future=future)


def _bases(node: ast.stmt) -> list[str]:
    """What a class inherits is done by whoever calls it and what it gives."""
    roots = map(root_of, node.bases) if isinstance(node, ast.ClassDef) else ()
    return [root[0] for root in roots if root is not None]


def _our_names(source: Source) -> set[str]:
    """Names that stand for TwinGraph or something made from it, like `gpu = partial(component, ...)`."""
    ours: set[str] = set()
    for node in ast.walk(source.tree) if "twingraph" in source.text else ():
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for ref in import_refs(node, source.package_name):
                if ref.module.partition(".")[0] == "twingraph":
                    ours.add(ref.bound)
    for node in source.tree.body if ours else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            values = [node.value.func, *node.value.args]
            if any((found := chain_of(value)) is not None and found[0] in ours for value in values):
                ours.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return ours


def _is_target(node: ast.stmt, ours: set[str]) -> bool:
    if isinstance(node, _DEFINITIONS):
        roots = [root_of(decorator) for decorator in node.decorator_list]
        return any(root is not None and root[0] in ours for root in roots)
    if isinstance(node, ast.Assign):
        root = root_of(node.value)
        return root is not None and root[0] in ours
    return False


def _runs_ours(statement: Statement, facts: ModuleFacts) -> bool:
    """`print(flow(3))`, `flow.submit()` or `main()`: what a script does, not what its functions are made of."""
    if statement.is_definition or isinstance(statement.node, (ast.Import, ast.ImportFrom)):
        return False
    if any(name in facts.targets or facts.effects(name)[1] for name, _ in statement.facts.calls):
        return True
    handed = statement.facts.eager - facts.targets  # `anyio.run(main)`: a library will call it
    library = any(name in facts.imports_of for name, _ in statement.facts.calls)
    return library and any(facts.effects(name)[1] for name in handed)
