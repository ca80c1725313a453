"""The one pass over a body's syntax tree that makes it wait where plain Python would have known the outcome by then.

Every `try` and `with` is a region with a mark of its own. In a region of `except` each statement waits for its calls
before it ends; in every region the calls that are left are waited for before `finally` or `__exit__`, on each way out.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar, cast

from twingraph.sdk.body.definition import HOOKS, FunctionNode
from twingraph.sdk.body.needs import NAMES

_Def = ast.FunctionDef | ast.AsyncFunctionDef
_Acting = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.For, ast.AsyncFor, ast.comprehension)
_N = TypeVar("_N", bound=ast.AST)
_E = TypeVar("_E", bound="ast.expr | None")


class Region(NamedTuple):
    """What a statement stands in. `each`: it waits before it ends; otherwise the region's end does."""

    mark: str
    each: bool


class Waits:
    """`foreign` tells, by its decorators, whether a nested function is a component or pipeline: those run elsewhere."""

    def __init__(self, foreign: Callable[[_Def], bool]) -> None:
        self.changed = False
        self._foreign = foreign
        self._marks = 0

    def function(self, node: FunctionNode) -> None:
        if isinstance(node, ast.Lambda):
            node.body = _Expressions(self, None, False).visit(node.body)
        else:
            _Block(self, isinstance(node, ast.AsyncFunctionDef)).rewrite(node.body, None)

    def skips(self, node: _Def) -> bool:
        return self._foreign(node)

    def new_mark(self) -> str:
        self._marks += 1
        return f"__tg_{self._marks}"


class _Hooked:
    """Makes calls of the hooks; each takes the place in the file of what it stands for."""

    def __init__(self, waits: Waits, region: Region | None, awaits: bool) -> None:
        self.waits, self.region, self.awaits = waits, region, awaits

    def hook(self, name: str, place: ast.AST, *arguments: ast.expr) -> ast.expr:
        self.waits.changed = True
        function = ast.Attribute(ast.Name(HOOKS, ast.Load()), name, ast.Load())
        return _placed(ast.Call(function, list(arguments), []), place)

    def waiting(self, name: str, place: ast.AST, mark: str, *arguments: ast.expr) -> ast.expr:
        known = ast.Name(mark, ast.Load())
        if not self.awaits:
            return self.hook(name, place, known, *arguments)
        return _placed(ast.Await(self.hook("a" + name, place, known, *arguments)), place)


class _Expressions(ast.NodeTransformer, _Hooked):
    """Inside expressions: `is`, and what gets its value before the statement ends."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        operands = [node.left, *node.comparators]
        for position, operator in enumerate(node.ops):
            if isinstance(operator, (ast.Is, ast.IsNot)):
                for side in (position, position + 1):
                    operands[side] = self.plain(operands[side])
        node.left, node.comparators = operands[0], operands[1:]
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Arguments before the call: `got.append(step(x))` appends nothing when the step fails."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in NAMES and len(node.args) == 1 and not node.keywords:
            node.args = [given if isinstance(given, ast.Starred) else self.looked_at(given) for given in node.args]
        acting = [place for place in (*node.args, *(word.value for word in node.keywords)) if acts(place)]
        if acting and self.region is not None and self.region.each:
            last = max(acting, key=lambda place: (place.lineno, place.col_offset))
            node.args = [self._before(given) if given is last else given for given in node.args]
            for word in node.keywords:
                word.value = self._before(word.value) if word.value is last else word.value
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """A text that is formatted asks its operand's real type: whether it is a tuple."""
        self.generic_visit(node)
        if (
            isinstance(node.op, ast.Mod)
            and isinstance(node.left, ast.Constant)
            and not isinstance(node.right, ast.Tuple)
        ):
            node.right = self.looked_at(node.right)
        return node

    def visit_Await(self, node: ast.Await) -> ast.expr:
        """What is awaited may be given calls to await itself: `asyncio.wait_for(step(x), 5)`."""
        _Expressions(self.waits, None, self.awaits).generic_visit(node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """What is bound or deleted by a key is touched only when the key is known."""
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            parts = node.slice if isinstance(node.slice, ast.Slice) else node
            for field in ("lower", "upper", "step") if isinstance(parts, ast.Slice) else ("value", "slice"):
                part = getattr(parts, field)
                setattr(parts, field, part and self.settled(part))
        return node

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        self.generic_visit(node)
        node.value = self.settled(node.value)
        return node

    def visit_Yield(self, node: ast.Yield) -> ast.expr:
        self.generic_visit(node)
        if node.value is not None:
            node.value = self.settled(node.value)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        node.args = self.visit(node.args)
        node.body = _Expressions(self.waits, None, False).visit(node.body)
        return node

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        return self._together(node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.expr:
        return self._together(node)

    def visit_DictComp(self, node: ast.DictComp) -> ast.expr:
        return self._together(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        return self._together(node)

    def _together(self, node: ast.expr) -> ast.expr:
        """The calls of one comprehension start together: nothing inside it waits."""
        _Expressions(self.waits, None, False).generic_visit(node)
        return node

    def _before(self, value: ast.expr) -> ast.expr:
        if not isinstance(value, ast.Starred):
            return self.settled(value)
        value.value = self.settled(value.value)
        return value

    def settled(self, value: ast.expr) -> ast.expr:
        if self.region is None or not self.region.each or not acts(value):
            return value
        return self.waiting("settled", value, self.region.mark, value)

    def looked_at(self, value: ast.expr) -> ast.expr:
        return value if isinstance(value, ast.Constant) else self.hook("looked_at", value, value)

    def plain(self, value: ast.expr) -> ast.expr:
        known = isinstance(value, ast.Constant) or (isinstance(value, ast.Call) and _calls_hook(value, "plain"))
        return value if known else self.hook("plain", value, value)

    def plain_parts(self, value: ast.expr) -> ast.expr:
        """Of a tuple, list or dict that is written here, what stands in it, at any depth: patterns ask for that too."""
        if isinstance(value, (ast.Tuple, ast.List)):
            value.elts = [part if isinstance(part, ast.Starred) else self.plain_parts(part) for part in value.elts]
        elif isinstance(value, ast.Dict):
            pairs = zip(value.keys, value.values, strict=True)
            value.values = [part if key is None else self.plain_parts(part) for key, part in pairs]
        else:
            return self.plain(value)
        return value


class _Block(_Hooked):
    """The statements of one function. `regions`: a class body gets none, as its names become attributes."""

    def __init__(self, waits: Waits, awaits: bool, regions: bool = True) -> None:
        super().__init__(waits, None, awaits)
        self._regions = regions

    def rewrite(self, body: list[ast.stmt], region: Region | None) -> None:
        """In place, so that a block that stays as it is stays the same list."""
        new: list[ast.stmt] = []
        for statement in body:
            new += self._statement(statement, region)
        body[:] = new

    def _statement(self, node: ast.stmt, region: Region | None) -> list[ast.stmt]:
        match node:
            case ast.Try() | ast.TryStar():
                return self._try(node, region)
            case ast.With() | ast.AsyncWith():
                return self._with(node, region)
            case ast.If() | ast.While():
                node.test = self._value(node.test, region)
            case ast.For() | ast.AsyncFor():
                node.iter = self._value(node.iter, region)
                node.target = self._expression(node.target, region)
            case ast.Match():
                self._match(node, region)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return self._definition(node, region)
            case ast.Return():
                self._return(node, region)
            case _:
                return self._simple(node, region)
        for block in (getattr(node, "body", ()), getattr(node, "orelse", ())):
            if isinstance(block, list):
                self.rewrite(block, region)
        return [node]

    # -- simple statements -------------------------------------------------------------------------

    def _simple(self, node: ast.stmt, region: Region | None) -> list[ast.stmt]:
        if type(node).__name__ == "TypeAlias":  # evaluated when it is first used
            return [node]
        for field, value in ast.iter_fields(node):
            if field in ("value", "test", "exc", "cause") and isinstance(value, ast.expr):
                setattr(node, field, self._value(value, region))
            elif field in ("target", "targets", "msg"):
                self._inside(node, field, region)
        return [node]

    def _return(self, node: ast.Return, region: Region | None) -> None:
        if node.value is None:
            return
        node.value = self._expression(node.value, region)
        if region is not None and not isinstance(node.value, ast.Constant):
            node.value = self.waiting("returned", node.value, region.mark, node.value)

    def _definition(self, node: _Def | ast.ClassDef, region: Region | None) -> list[ast.stmt]:
        after = acts(node)
        if isinstance(node, ast.ClassDef):
            for field in ("decorator_list", "bases", "keywords"):
                self._inside(node, field, region)
            _Block(self.waits, self.awaits, regions=False).rewrite(node.body, None)
        elif not self.waits.skips(node):
            for field in ("decorator_list", "args"):
                self._inside(node, field, region)
            self.waits.function(node)
        return self._then_settled(node, region) if after else [node]

    def _then_settled(self, node: ast.stmt, region: Region | None) -> list[ast.stmt]:
        if region is None or not region.each:
            return [node]
        return [node, _placed(ast.Expr(self.waiting("settle", node, region.mark)), node)]

    # -- blocks ------------------------------------------------------------------------------------

    def _match(self, node: ast.Match, region: Region | None) -> None:
        subject = self._expression(node.subject, region)
        node.subject = self._settled(_Expressions(self.waits, None, False).plain_parts(subject), region)
        for case in node.cases:
            if case.guard is not None:
                case.guard = self._value(case.guard, region)
            self.rewrite(case.body, region)

    def _with(self, node: ast.With | ast.AsyncWith, region: Region | None) -> list[ast.stmt]:
        for item in node.items:
            item.context_expr = self._value(item.context_expr, region)
        self._bounded(node.body, region, _header(node, node.items[0].context_expr))
        return [node]

    def _bounded(self, body: list[ast.stmt], region: Region | None, place: ast.AST) -> None:
        """A block with an end before which it waits."""
        if not self._regions or not _needs(body):
            self.rewrite(body, region)
            return
        inner = Region(self.waits.new_mark(), region is not None and region.each)
        self.rewrite(body, inner)
        body[:] = [self._marked(inner, place), self._ended(body, inner, place)]

    def _try(self, node: ast.Try | ast.TryStar, region: Region | None) -> list[ast.stmt]:
        """It waits inside the `try`, so that its handlers see it, and around everything else before `finally`."""
        place = _header(node, None)
        later = _needs([*node.handlers, *node.orelse]) if node.finalbody else False
        if not self._regions or not (_needs(node.body) or later):
            self._parts(node, region, region, region)
            return [node]
        own = Region(self.waits.new_mark(), bool(node.handlers) or (region is not None and region.each))
        after = Region(own.mark, region is not None and region.each) if node.finalbody else region
        self._parts(node, own, after, region)
        if _needs(node.body):
            node.body = [self._ended(node.body, own, place)]
        if node.finalbody and node.handlers:
            kind = type(node)
            inner = ast.copy_location(kind(node.body, node.handlers, node.orelse, []), node)
            outer = ast.copy_location(ast.Try([self._ended([inner], own, place)], [], [], node.finalbody), node)
            return [self._marked(own, place), outer]
        return [self._marked(own, place), node]

    def _parts(
        self, node: ast.Try | ast.TryStar, body: Region | None, after: Region | None, last: Region | None
    ) -> None:
        self.rewrite(node.body, body)
        for handler in node.handlers:
            self.rewrite(handler.body, after)
        self.rewrite(node.orelse, after)
        self.rewrite(node.finalbody, last)

    def _marked(self, region: Region, place: ast.AST) -> ast.stmt:
        return _placed(ast.Assign([ast.Name(region.mark, ast.Store())], self.hook("mark", place)), place)

    def _ended(self, body: list[ast.stmt], region: Region, place: ast.AST) -> ast.stmt:
        """`try: BODY finally: settle(mark)`."""
        last = _placed(ast.Expr(self.waiting("settle", place, region.mark)), place)
        return ast.copy_location(ast.Try(list(body), [], [], [last]), place)

    # -- expressions -------------------------------------------------------------------------------

    def _expression(self, node: _E, region: Region | None) -> _E:
        return cast(_E, _Expressions(self.waits, region, self.awaits).visit(node) if node is not None else None)

    def _settled(self, node: ast.expr, region: Region | None) -> ast.expr:
        return _Expressions(self.waits, region, self.awaits).settled(node)

    def _value(self, node: ast.expr, region: Region | None) -> ast.expr:
        return self._settled(self._expression(node, region), region)

    def _inside(self, node: ast.AST, field: str, region: Region | None) -> None:
        value = getattr(node, field)
        visit = _Expressions(self.waits, region, self.awaits).visit
        setattr(node, field, [visit(item) for item in value] if isinstance(value, list) else value and visit(value))


def acts(node: ast.AST) -> bool:
    """Whether calls may be made while this is evaluated; what stands in a function defined there happens later."""
    if isinstance(node, _Acting):
        return True
    if isinstance(node, ast.Lambda):
        return _any_acts([node.args])
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return _any_acts([*node.decorator_list, node.args])
    return _any_acts(ast.iter_child_nodes(node))


def _any_acts(nodes: object) -> bool:
    if isinstance(nodes, ast.AST):
        return acts(nodes)
    return any(acts(node) for node in cast(Sequence[ast.AST], nodes or ()))


def _needs(body: Sequence[ast.AST]) -> bool:
    return _any_acts(body) or any(_returns(node) for node in body)


def _returns(node: ast.AST) -> bool:
    if isinstance(node, ast.Return):
        return node.value is not None and not isinstance(node.value, ast.Constant)
    if isinstance(node, (ast.expr, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return False
    return any(_returns(child) for child in ast.iter_child_nodes(node))


def _calls_hook(node: ast.Call, name: str) -> bool:
    function = node.func
    if not isinstance(function, ast.Attribute) or function.attr != name:
        return False
    return isinstance(function.value, ast.Name) and function.value.id == HOOKS


def _placed(node: _N, place: ast.AST) -> _N:
    """New nodes take the place; what was there keeps its own."""
    ast.copy_location(node, place)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.expr, ast.stmt)) and not hasattr(child, "lineno"):
            _placed(child, place)
    return node


def _header(node: ast.stmt, expression: ast.expr | None) -> ast.AST:
    """Where the waiting at the end of a block is seen in a traceback: at the word or the expression that opens it."""
    if expression is not None:
        return expression
    place = ast.copy_location(ast.Pass(), node)
    place.end_lineno, place.end_col_offset = node.lineno, node.col_offset + len("try")
    return place
