"""One walk over a piece of syntax: which module-level names it binds, uses and changes in place.

Scoping is Python's own: class bodies are invisible to functions inside them, comprehensions and type parameters have
scopes of their own, `global` reaches the module. What happens when the piece is executed is *eager*; what
happens when a function in it is called is *lazy*.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import field

from twingraph.core.recordclass import recordclass
from twingraph.core.syntax import parse_expression
from twingraph.sdk.slicing.syntax import (
    Chain,
    ImportRef,
    absolute_module,
    all_arguments,
    annotations_of,
    bound_targets,
    chain_of,
    import_refs,
    is_main_guard,
    is_type_checking,
    root_of,
    ships_annotations,
    type_params,
)

# fmt: off
MUTATING_METHODS = frozenset({
    "append", "extend", "insert", "remove", "pop", "popitem", "clear", "sort", "reverse", "add", "discard",
    "update", "setdefault", "register", "appendleft", "extendleft", "popleft", "rotate", "move_to_end",
    "subtract", "intersection_update", "difference_update", "symmetric_difference_update", "write",
    "writelines", "send", "throw", "close", "connect", "subscribe", "put",
})
# fmt: on
# fmt: off
MUTATING_FUNCTIONS = frozenset({
    "setattr", "delattr", "next", "shuffle", "heapify", "heappush", "heappop", "insort", "insort_left",
    "insort_right", "update_wrapper",
})
# fmt: on
# What a script does with a library, as against how it sets the library up: `sys.exit()`, `time.sleep(3)`.
# fmt: off
ACTIONS = frozenset({
    "exit", "_exit", "abort", "sleep", "run", "main", "run_until_complete", "run_forever", "show", "system", "call",
    "check_call", "check_output", "write", "flush", "kill", "wait", "print", "debug", "info", "warning", "error",
    "exception", "critical", "log", "submit", "start", "join", "serve", "set_trace", "post_mortem", "savefig",
    "makedirs", "mkdir", "unlink", "rmtree", "get", "post",
})
# fmt: on
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@recordclass(frozen=False, kw_only=False)
class Facts:
    """What one piece of syntax does to the names of its module."""

    binds: set[str] = field(default_factory=set)
    uses: dict[tuple[str, Chain], None] = field(default_factory=dict)
    eager: set[str] = field(default_factory=set)
    mutates: dict[tuple[str, Chain], None] = field(default_factory=dict)
    own_only: set[tuple[str, Chain]] = field(default_factory=set)  # changes only if the name is the project's own
    lazy_mutates: dict[tuple[str, Chain], None] = field(default_factory=dict)
    calls: set[tuple[str, Chain]] = field(default_factory=set)
    lazy_calls: set[tuple[str, Chain]] = field(default_factory=set)
    passed: set[tuple[str, str]] = field(default_factory=set)  # (called name, name given to it)
    aliases: set[tuple[str, str]] = field(default_factory=set)
    imports: list[ImportRef] = field(default_factory=list)
    import_uses: dict[tuple[ImportRef, Chain], None] = field(default_factory=dict)
    dynamic: list[tuple[int, str]] = field(default_factory=list)
    bases: list[tuple[str, Chain]] = field(default_factory=list)


@recordclass(frozen=False, kw_only=False)
class _Scope:
    kind: str  # function, class
    names: set[str] = field(default_factory=set)
    imports: dict[str, ImportRef] = field(default_factory=dict)
    globals: set[str] = field(default_factory=set)


class ScopeWalk(ast.NodeVisitor):
    """Fills `facts` for one piece of module-level syntax. Decorators that `ours` names are not shipped."""

    def __init__(self, package: str, ours: set[str] | None) -> None:
        self.facts = Facts()
        self.package = package
        self.ours = ours
        self.scopes: list[_Scope] = []
        self.depth = 0  # functions around this point

    # names

    def _find(self, name: str) -> _Scope | None:
        for position, scope in enumerate(reversed(self.scopes)):
            if scope.kind == "class" and position:
                continue
            if name in scope.globals:
                return None
            if name in scope.names:
                return scope
        return None

    def _use(self, name: str, chain: Chain) -> None:
        scope = self._find(name)
        if scope is None:
            self.facts.uses.setdefault((name, chain))
            if not self.depth:
                self.facts.eager.add(name)
        elif name in scope.imports:
            self.facts.import_uses.setdefault((scope.imports[name], chain))

    def _bind(self, name: str) -> None:
        if not self.scopes:
            self.facts.binds.add(name)
            return
        scope = self.scopes[-1]
        if name in scope.globals:
            self._use(name, ())
            self._change(name, ())
            if not self.depth:
                self.facts.binds.add(name)
        else:
            scope.names.add(name)

    def _change(self, name: str, chain: Chain) -> None:
        if self._find(name) is None:
            (self.facts.lazy_mutates if self.depth else self.facts.mutates).setdefault((name, chain))

    def _change_root(self, node: ast.AST) -> None:
        found = root_of(node)
        if found is not None:
            self._change(*found)

    # expressions

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._use(node.id, ())
        else:
            self._bind(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change_root(node)
        found = chain_of(node)
        if found is None:
            self.generic_visit(node)
        else:
            self._use(*found)
            if found == ("sys", ("modules",)) or (found[0] == "sys" and found[1][:1] == ("modules",)):
                self.facts.dynamic.append((node.lineno, "it reaches into sys.modules"))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change_root(node)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        if any(scope.kind == "comprehension" for scope in self.scopes):
            owner = next((s for s in reversed(self.scopes) if s.kind != "comprehension"), None)
            if owner is None:
                self.facts.binds.add(node.target.id)
            elif node.target.id in owner.globals:
                self._use(node.target.id, ())
            return
        self._bind(node.target.id)

    def visit_Call(self, node: ast.Call) -> None:
        found = chain_of(node.func)
        if found is not None and self._find(found[0]) is None:
            (self.facts.lazy_calls if self.depth else self.facts.calls).add(found)
            self._check_dynamic(node, found)
            last = found[1][-1] if found[1] else found[0]
            if found[1] and last in MUTATING_METHODS:
                self._change(found[0], found[1][:-1])
            if last in MUTATING_FUNCTIONS:
                for argument in node.args:
                    self._change_root(argument)
        elif isinstance(node.func, ast.Attribute) and node.func.attr in MUTATING_METHODS:
            self._change_root(node.func.value)
        elif isinstance(node.func, ast.Attribute) and node.func.attr in MUTATING_FUNCTIONS:
            for argument in node.args:
                self._change_root(argument)
        self.generic_visit(node)

    def _check_dynamic(self, node: ast.Call, found: tuple[str, Chain]) -> None:
        name = ".".join((found[0], *found[1]))
        constant = bool(node.args) and isinstance(node.args[0], ast.Constant)
        if name in ("globals", "builtins.globals"):
            self.facts.dynamic.append((node.lineno, "it calls globals()"))
        elif name in ("vars", "dir") and not node.args and not self.depth:
            self.facts.dynamic.append((node.lineno, f"it calls {name}() at module level"))
        elif name == "locals" and not self.scopes:
            self.facts.dynamic.append((node.lineno, "it calls locals() at module level"))
        elif name == "exec":
            self.facts.dynamic.append((node.lineno, "it calls exec()"))
        elif name == "eval" and not constant:
            self.facts.dynamic.append((node.lineno, "it calls eval() on text that is known only at run time"))
        elif name == "eval" and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            try:
                self.visit(parse_expression(node.args[0].value.strip()).body)
            except SyntaxError:
                return
        elif found[0] == "__import__" or (found[1] or (found[0],))[-1] == "import_module":
            argument = node.args[0] if node.args else None
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                named = argument.value
                if named.startswith("."):
                    level = len(named) - len(named.lstrip("."))
                    fake = ast.ImportFrom(module=named.lstrip(".") or None, names=[], level=level)
                    named = absolute_module(fake, self.package)
                ref = ImportRef(named, None, named, False, node.lineno)
                self.facts.imports.append(ref)
                self.facts.import_uses.setdefault((ref, ()))
            else:
                self.facts.dynamic.append((node.lineno, "it imports a module whose name is known only at run time"))

    def _visit_comprehension(self, node: ast.expr) -> None:
        generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]
        self.visit(generators[0].iter)
        self.scopes.append(_Scope("comprehension", set(bound_targets(generator.target for generator in generators))))
        for position, generator in enumerate(generators):
            if position:
                self.visit(generator.iter)
            for condition in generator.ifs:
                self.visit(condition)
        if isinstance(node, ast.DictComp):
            self.visit(node.key)
            self.visit(node.value)
        else:
            self.visit(node.elt)  # type: ignore[attr-defined]
        self.scopes.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension  # noqa: N815

    # definitions

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._defaults(node.args)
        self._function(node.args, [node.body])

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        kept = [decorator for decorator in node.decorator_list if not self.is_our_decorator(decorator)]
        for decorator in kept:
            self._decorator(decorator)
        self._bind(node.name)
        self.scopes.append(_Scope("function", {param.name for param in type_params(node)}))  # type: ignore[attr-defined]
        for param in type_params(node):
            self.visit_type_param(param)
        if ships_annotations(node, kept, self.ours):
            for annotation in annotations_of(node):
                self._annotation(annotation)
        self._defaults(node.args)
        self._function(node.args, node.body)
        self.scopes.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = _visit_function  # noqa: N815

    def _decorator(self, decorator: ast.expr) -> None:
        self.visit(decorator)
        func = decorator.func if isinstance(decorator, ast.Call) else decorator
        found = chain_of(func)
        if found is not None and self._find(found[0]) is None:
            (self.facts.lazy_calls if self.depth else self.facts.calls).add(found)
            if found[1] and not self.depth:
                self.facts.mutates.setdefault((found[0], found[1][:-1]))
                self.facts.own_only.add((found[0], found[1][:-1]))

    def _defaults(self, arguments: ast.arguments) -> None:
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self.visit(default)

    def _function(self, arguments: ast.arguments, body: Sequence[ast.AST]) -> None:
        scope = _Scope("function", {argument.arg for argument in all_arguments(arguments)})
        collect_bound(body, scope, self.package)
        self.scopes.append(scope)
        self.depth += 1
        for node in body:
            self.visit(node)
        self.depth -= 1
        self.scopes.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            if not self.is_our_decorator(decorator):
                self._decorator(decorator)
        params = _Scope("function", {param.name for param in type_params(node)})  # type: ignore[attr-defined]
        self.scopes.append(params)
        for param in type_params(node):
            self.visit_type_param(param)
        for base in (*node.bases, *(keyword.value for keyword in node.keywords)):
            self.visit(base)
            found = chain_of(base.value if isinstance(base, ast.Subscript) else base)
            if found is not None and self._find(found[0]) is None and not self.depth:
                self.facts.bases.append(found)
        scope = _Scope("class")
        names, imports = _Scope("class"), scope.imports
        collect_bound(node.body, names, self.package)
        scope.globals, _ = names.globals, imports.update(names.imports)
        self.scopes.append(scope)
        for statement in node.body:
            self.visit(statement)
        self.scopes.pop()
        self.scopes.pop()
        self._bind(node.name)

    def visit_type_param(self, node: ast.AST) -> None:
        for part in (getattr(node, "bound", None), getattr(node, "default_value", None)):
            if part is not None:
                self.visit(part)

    def visit_TypeAlias(self, node: ast.AST) -> None:
        scope = _Scope("function", {param.name for param in type_params(node)})  # type: ignore[attr-defined]
        self.scopes.append(scope)
        for param in type_params(node):
            self.visit_type_param(param)
        self.visit(node.value)  # type: ignore[attr-defined]
        self.scopes.pop()
        self._bind(node.name.id)  # type: ignore[attr-defined]

    # statements

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        in_class = bool(self.scopes) and self.scopes[-1].kind == "class"
        if in_class:
            self._annotation(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self.visit(node.target)
        elif not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def _annotation(self, annotation: ast.expr) -> None:
        """Names in an annotation, also those written as text."""
        self.visit(annotation)
        for node in ast.walk(annotation):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                try:
                    parsed = parse_expression(node.value.strip()).body
                except (SyntaxError, ValueError):
                    continue
                self.visit(parsed)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)
        if not self.scopes and not isinstance(node.value, ast.Call):
            self._alias(node.targets, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._use(node.target.id, ())
        self.visit(node.target)

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        self.visit(node.target)
        if not self.scopes:
            self._alias([node.target], node.iter)
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            self.visit(item)
            if item.optional_vars is not None and not self.scopes:
                self._alias([item.optional_vars], item.context_expr)
        for statement in node.body:
            self.visit(statement)

    def _alias(self, targets: Sequence[ast.expr], value: ast.expr) -> None:
        found = root_of(value)
        if found is not None:
            for name in bound_targets(targets):
                self.facts.aliases.add((name, found[0]))

    def visit_Expr(self, node: ast.Expr) -> None:
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(value, ast.Call):
            if isinstance(value.func, ast.Attribute):
                changed = root_of(value.func.value)
                action = value.func.attr in ACTIONS and not self.depth
                if action and changed is not None and changed not in self.facts.mutates:
                    self.facts.own_only.add(changed)
                self._change_root(value.func.value)
            elif isinstance(value.func, ast.Name) and not self.depth:
                for argument in (*value.args, *(keyword.value for keyword in value.keywords)):
                    found = root_of(argument)
                    if found is not None and not isinstance(argument, ast.Call):
                        self.facts.passed.add((value.func.id, found[0]))
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        skipped = is_type_checking(node.test) or (is_main_guard(node.test) and not self.scopes)
        self.visit(node.test)
        for statement in (*(() if skipped else node.body), *node.orelse):
            self.visit(statement)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        if node.name:
            self._bind(node.name)
        for statement in node.body:
            self.visit(statement)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name:
            self._bind(node.name)
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self._bind(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        if node.rest:
            self._bind(node.rest)

    def visit_Global(self, node: ast.Global) -> None:
        return

    def _visit_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for ref in import_refs(node, self.package):
            self.facts.imports.append(ref)
            if ref.name == "*":
                continue
            self._bind(ref.bound)
            if self.scopes:
                self.scopes[-1].imports.setdefault(ref.bound, ref)

    visit_Import = visit_ImportFrom = _visit_import  # noqa: N815

    def is_our_decorator(self, decorator: ast.expr) -> bool:
        func = decorator.func if isinstance(decorator, ast.Call) else decorator
        found = chain_of(func)
        return self.ours is not None and found is not None and found[0] in self.ours and self._find(found[0]) is None


def collect_bound(body: Iterable[ast.AST], scope: _Scope, package: str) -> None:
    """Names that a function or class body binds itself, without those of scopes inside it."""
    pending = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            scope.names.add(node.name)
            pending.extend(node.decorator_list)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for ref in import_refs(node, package):
                scope.names.add(ref.bound)
                scope.imports[ref.bound] = ref
        elif isinstance(node, ast.Global):
            scope.globals.update(node.names)
        elif isinstance(node, _COMPREHENSIONS):
            scope.names.update(walrus.target.id for walrus in ast.walk(node) if isinstance(walrus, ast.NamedExpr))
            continue
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            scope.names.add(node.id)
        else:
            bound = getattr(node, "name", None) or getattr(node, "rest", None)
            if isinstance(bound, str):
                scope.names.add(bound)
            elif isinstance(bound, ast.Name):
                scope.names.add(bound.id)
        pending.extend(ast.iter_child_nodes(node))
    scope.names -= scope.globals
