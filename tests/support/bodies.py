"""Bodies of pipelines for tests of the engine: generators on the conductor's own loop, without threads or user code.

A body yields what it does and is sent what came of it:

    def body(do, x):
        value = yield do.call("first", x)      # the value, once it is over; a failure is raised
        handle = yield do.start("second", value)
        both = yield do.wait(handle)
        return both
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twingraph.core.bodies import Ended, Items, Link, Opened, Page, Past, PastCall, PastDecision
from twingraph.core.codec import encode, hash_text
from twingraph.core.events import DecisionMade, GraphClosed, GraphExtended, NodeEnded
from twingraph.core.plan import Argument, Edge, Hole, NodeKind, NodeSpec, PlanNode, Source
from twingraph.core.records import ErrorRecord

Body = Callable[..., Generator[Any, Any, Any]]


class CallFailedError(Exception):
    """A node that a body waited for did not complete."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(f"{ended.node} is {ended.status}")
        self.ended = ended


@dataclass(frozen=True)
class Called:
    """A handle: what stands for the value of a call."""

    node: str
    output: str | None = None


@dataclass
class Do:
    """One step of a body, as it is yielded."""

    what: str
    plan: PlanNode | None = None
    spec: NodeSpec | None = None
    nodes: Sequence[Called] = ()
    answer: Any = None


def argument(value: Any) -> Argument:
    if isinstance(value, Called):
        return (Hole(sources=(Source(node=value.node, output=value.output),)),)
    if isinstance(value, list) and any(isinstance(part, Called) for part in value):
        return ("[", *[piece for part in value for piece in (*argument(part), ",")][:-1], "]")
    return (json.dumps(value),)


def _called_in(value: Any) -> list[Called]:
    parts = value if isinstance(value, list) else [value]
    return [part for part in parts if isinstance(part, Called)]


class Steps:
    """What a body may do; names its calls as the real one does."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def _id(self, component: str) -> str:
        count = self._counts[component] = self._counts.get(component, 0) + 1
        return component if count == 1 else f"{component}-{count}"

    def start(self, component: str, /, *given: Any, spec: NodeSpec | None = None, **more: Any) -> Do:
        """Make a call and go on."""
        args = {f"a{i}": argument(value) for i, value in enumerate(given)}
        edges = tuple(Edge(source=v.node, param=f"a{i}") for i, value in enumerate(given) for v in _called_in(value))
        more["scope_args" if more.get("kind") is NodeKind.SCOPE else "args"] = args
        plan = PlanNode(id=self._id(component), edges=edges, **more)
        needs_spec = plan.kind in (NodeKind.TASK, NodeKind.SCOPE, NodeKind.DETACHED)
        if spec is None and needs_spec:
            spec = NodeSpec(component=component, entry=component)
        return Do("start", plan, spec)

    def call(self, component: str, /, *given: Any, **more: Any) -> Do:
        """Make a call and wait for it."""
        step = self.start(component, *given, **more)
        step.what = "call"
        return step

    def wait(self, *nodes: Called) -> Do:
        return Do("wait", nodes=nodes)

    def decide(self, what: str, answer: Any) -> Do:
        """Something that has to be answered alike when it is replayed."""
        return Do("decide", answer=(what, answer))

    def ended(self, handle: Called, value: Any) -> Do:
        """Say what came of a side effect."""
        return Do("ended", nodes=[handle], answer=value)

    def hash(self, handle: Called) -> Do:
        return Do("hash", nodes=[handle])


class Gone(BaseException):
    """The body is not wanted any more."""


@dataclass
class Running:
    """One body on its way."""

    opened: Opened
    generator: Generator[Any, Any, Any]
    past: list[Past] = field(default_factory=list)
    told: bool = False  # its whole history
    ended: dict[str, Ended] = field(default_factory=dict)
    items: list[Items] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    single: bool = False
    asks: bool = False


class ScriptedHost:
    """A `core.bodies.Host` for bodies that are generators. Everything happens within the conductor's calls."""

    def __init__(self, link: Link, **bodies: Body) -> None:
        self.link = link
        self.bodies = bodies
        self.running: dict[tuple[str, str], Running] = {}
        self.heard: list[tuple[str, Any]] = []
        self.stopped: dict[str, str] = {}
        self.specs: dict[str, list[NodeSpec]] = {}

    # -- what the conductor says -------------------------------------------------------------------

    def open(self, opened: Opened) -> None:
        self.heard.append(("open", opened))
        values = [json.loads(text) for _, text in opened.arguments]
        generator = self.bodies[opened.entry](Steps(), *values)
        self.running[opened.execution, opened.scope] = Running(opened, generator)

    def page(self, execution: str, scope: str, page: Page) -> None:
        self.heard.append(("page", page))
        running = self.running[execution, scope]
        running.past += page.past
        running.ended.update((ended.node, ended) for ended in page.ended)
        running.items += page.items
        if page.last:
            running.told = True
            running.past.reverse()
            self._go(running, None)

    def ended(self, execution: str, scope: str, ended: Ended) -> None:
        self.heard.append(("ended", ended))
        running = self.running.get((execution, scope))
        if running is None:
            return
        running.ended[ended.node] = ended
        if running.told and running.waits:
            self._if_over(running)

    def items(self, execution: str, scope: str, items: Items) -> None:
        self.heard.append(("items", items))
        self.running[execution, scope].items.append(items)

    def answer(self, execution: str, scope: str, number: int, answer: Any) -> None:
        self.heard.append(("answer", answer))
        running = self.running[execution, scope]
        if running.asks:
            running.asks = False
            self._go(running, answer)

    def stop(self, execution: str, why: str, scope: str | None = None) -> None:
        self.heard.append(("stop", why))
        if scope is not None:
            self.running.pop((execution, scope), None)
            return
        self.stopped[execution] = why
        self.running = {key: value for key, value in self.running.items() if key[0] != execution}
        self.specs.pop(execution, None)

    def evict(self, execution: str, scope: str) -> None:
        """Forget a body that waits."""
        del self.running[execution, scope]

    # -- carrying a body on --------------------------------------------------------------------------

    def _go(self, running: Running, sent: Any) -> None:
        execution, scope = running.opened.execution, running.opened.scope
        try:
            while True:
                step = (
                    running.generator.throw(sent) if isinstance(sent, BaseException) else running.generator.send(sent)
                )
                sent = self._do(running, step)
                if sent is _WAIT:
                    return
        except StopIteration as over:
            self.running.pop((execution, scope), None)
            self.link.feed(execution, returned(scope, over.value), None)
        except Exception as error:
            self.running.pop((execution, scope), None)
            self.link.feed(execution, GraphClosed(scope, error=_record(error)), None)

    def _do(self, running: Running, step: Do) -> Any:
        execution, scope = running.opened.execution, running.opened.scope
        if step.what in ("start", "call"):
            assert step.plan is not None
            self._call(running, step)
            handle = Called(step.plan.id)
            if step.what == "start":
                return handle
            step.nodes = [handle]
        if step.what == "decide":
            return self._decide(running, *step.answer)
        if step.what == "hash":
            running.asks = True
            self.link.ask(execution, scope, 1, "hash", step.nodes[0].node)
            return _WAIT
        if step.what == "ended":
            given = encode(step.answer)
            node = f"{scope}/{step.nodes[0].node}" if scope else step.nodes[0].node
            outputs = (("output", given.hash, given.size),)
            event = NodeEnded(node, 1, "completed", shape="plain", outputs=outputs)
            self.link.feed(execution, event, [given.text])
            return None
        running.waits = [handle.node for handle in step.nodes]
        running.single = step.what == "call" or len(step.nodes) == 1
        missing = [node for node in running.waits if node not in running.ended]
        return _WAIT if missing else self._given(running)

    def _call(self, running: Running, step: Do) -> None:
        execution, scope = running.opened.execution, running.opened.scope
        assert step.plan is not None
        if running.past:
            before = running.past.pop()
            assert isinstance(before, PastCall)
            assert before.node.id == step.plan.id, (before, step.plan)
            return
        known = self.specs.setdefault(execution, [])
        fresh: list[NodeSpec] = []
        plan = step.plan
        if step.spec is not None:
            if step.spec not in known:
                fresh.append(step.spec)
                known.append(step.spec)
            plan = plan._replace(spec=known.index(step.spec))
        self.link.feed(execution, GraphExtended((plan,), scope=scope, driven=True), None, fresh)

    def _decide(self, running: Running, what: str, answer: Any) -> Any:
        if running.past:
            before = running.past.pop()
            assert isinstance(before, PastDecision)
            assert before.what == what, (before, what)
            return before.answer
        execution, scope = running.opened.execution, running.opened.scope
        self.link.feed(execution, DecisionMade(scope, what, answer), None)
        return answer

    def _if_over(self, running: Running) -> None:
        if all(node in running.ended for node in running.waits):
            self._go(running, self._given(running))

    def _given(self, running: Running) -> Any:
        over = [running.ended[node] for node in running.waits]
        running.waits = []
        for ended in over:
            if ended.status != "completed":
                return CallFailedError(ended)
        values = [_value(ended) for ended in over]
        return values[0] if running.single else values


_WAIT = object()


def _value(ended: Ended) -> Any:
    texts = list(ended.texts)
    if ended.shape in (None, "plain"):
        return json.loads(texts[0]) if texts else None
    return {meta[0]: json.loads(text) for meta, text in zip(ended.outputs, texts, strict=True)}


def _record(error: Exception) -> ErrorRecord:
    if isinstance(error, CallFailedError) and error.ended.error is not None:
        return error.ended.error
    return ErrorRecord(code="user_error", error_type=type(error).__name__, message=str(error))


def returned(scope: str, value: Any) -> GraphClosed:
    """The end of a body: a dict with handles gives named outputs, anything else is one result."""
    if isinstance(value, Mapping):
        outputs = tuple((name, argument(part)) for name, part in value.items())
        return GraphClosed(scope, shape="dict", outputs=outputs)
    return GraphClosed(scope, result=argument(value))


def text_hash(value: Any) -> str:
    return hash_text(json.dumps(value))
