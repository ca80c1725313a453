"""The plan: what an author's workflow looks like to the engine.

A plan is a tree of templates. The root template holds the nodes of the workflow; a map or a sub-workflow node names the
template from which its children are made. Ids and references inside a template are relative to the scope in which it is
opened, so one template serves every item of a map.

What there is one of for each node is a named tuple: these are made and read by the hundred thousand, and cost a third.

The kernel reads kinds, edges and specs. It never reads `args`: those are for the conductor, which fills them in when a
node is dispatched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from twingraph.core.policies import RetryPolicy
from twingraph.core.recordclass import recordclass

NOTHING: Mapping[str, Any] = MappingProxyType({})

# Stands before the hash of code that is imported where it runs: of what that code uses, the hash says nothing.
IMPORTED = "import:"


class NodeKind(StrEnum):
    __hash__ = str.__hash__  # an Enum's own is a Python function, and tables are asked at every step

    TASK = "task"  # runs user code
    INPUT = "input"  # stands for a value that the execution was started with
    BRANCH = "branch"  # runs a condition, then one of its two handles is alive
    MAP = "map"  # opens one child per item of a list
    SCOPE = "scope"  # opens a template once: a sub-workflow, later a sub-pipeline
    SLEEP = "sleep"
    SIGNAL = "signal"
    SIDE_EFFECT = "side_effect"
    DETACHED = "detached"  # an execution of its own; this node waits for its end
    HANDLER = "handler"  # the custom error handler, made by the kernel


class Source(NamedTuple):
    """One place a value can come from: a node's output, the item of a map, or an input of the execution.

    `node` is relative to the scope. `output` None means the whole value. A value that a branch hands on comes from
    before the branch: it counts only when every branch of `branches` (node, handle) went that way.
    """

    node: str | None = None
    output: str | None = None
    item: bool = False
    input: str | None = None
    index: int | None = None  # type: ignore[assignment]  # one element of a list output; as a tuple it has that method
    branches: tuple[tuple[str, str], ...] = ()


class Hole(NamedTuple):
    """A gap in an argument's JSON text. The first live source fills it; several come from exclusive branches."""

    sources: tuple[Source, ...]


# An argument is JSON text with holes: literal text and holes in turn, joined when the node is dispatched.
Argument = tuple[str | Hole, ...]


class Edge(NamedTuple):
    """A dependency. `param` None: order only. `handle`: alive only when the branch took it. `optional`: a dead edge
    does not skip the target, because the parameter has a default."""

    source: str
    param: str | None = None
    output: str | None = None
    handle: str | None = None
    optional: bool = False


@recordclass
class NodeSpec:
    """How nodes of one component are carried out; shared by all nodes with the same settings."""

    component: str  # the name that people see
    entry: str | None = None  # key of the code in the execution's bundle
    platform: str = "local"
    docker_image: str | None = None
    platform_config: Mapping[str, Any] = field(default_factory=dict)
    retry: RetryPolicy | None = None
    timeout: float | None = 300.0
    start_timeout: float | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cache: Any = None
    version: str | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    priority: int = 0
    ship: str = "slice"
    endless: bool = False
    options: str | None = None  # a BaseComponent's config, as JSON text of a value
    outputs: tuple[str, ...] | None = None  # declared output names; None: known only at run time
    code_hash: str | None = None
    code: str | None = None  # the code version that holds `entry`, where it is not the execution's own
    generator: bool = False  # hands its items over while it still runs
    asynchronous: bool = False  # `async def`: many may wait at once in one process


@recordclass
class ScopeSettings:
    """What bounds a scope beside what bounds its execution: a sub-pipeline's own settings. None: nothing of its own."""

    max_parallel: int | None = None
    timeout: float | None = None
    error_handler: str | None = None
    handler_component: int | None = None
    handler_args: tuple[str, ...] | None = None
    continue_on_error: bool = False


class PlanNode(NamedTuple):
    id: str
    kind: NodeKind = NodeKind.TASK
    spec: int | None = None  # index into the plan's specs
    edges: tuple[Edge, ...] = ()
    args: Mapping[str, Argument] = NOTHING
    template: str | None = None  # of a map or scope
    key: str | None = None  # of a map: an expression over `item` and `index` that names each child
    keep_item_errors: bool = False
    wait: float | None = None  # seconds of a sleep; time limit of a signal
    signal: str | None = None
    scope_args: Mapping[str, Argument] = NOTHING  # inputs of the template that is opened
    # Of a node that a pipeline's body called:
    caller: str = ""  # the task of the body that made the call; '' the body itself
    place: str | None = None  # where in the author's code, as 'file:line'
    forced: tuple[str, ...] = ()  # whose values the body looked at since its call before: control flow, for the graph
    bounds: ScopeSettings | None = None  # of a sub-pipeline


@recordclass
class Template:
    """Nodes that are opened together. `result` says what the scope gives when all of them are over."""

    nodes: tuple[PlanNode, ...]
    result: Argument = ()
    # 'last': outputs of the last nodes, as the contract's "Execution outputs" says; 'argument': `result` above.
    last_nodes: tuple[str, ...] = ()


@recordclass
class Plan:
    name: str
    root: Template
    templates: Mapping[str, Template] = field(default_factory=dict)
    specs: tuple[NodeSpec, ...] = ()
    inputs: Mapping[str, Any] = field(
        default_factory=dict
    )  # name -> {"required": bool, "schema": ..., "default": JSON text}
