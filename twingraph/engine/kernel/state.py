"""The state of one execution: plain mutable records that only the kernel changes, through `move` for statuses."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Generator, Iterator
from itertools import chain
from typing import TypeVar

from twingraph.core.events import DecisionMade, OutputMeta
from twingraph.core.plan import Argument, NodeSpec, PlanNode, ScopeSettings, Template
from twingraph.core.records import ErrorRecord, Settings
from twingraph.core.statuses import EXECUTION_MOVES, NODE_MOVES, NODE_OVER, ExecutionStatus, NodeStatus
from twingraph.engine.kernel.commands import Command

Made = TypeVar("Made")

# What one event does to more nodes is done by and by, so many without a pause.
AT_ONCE = 200
# How many recent moves an error may tell.
STORY_LENGTH = 200

# Nodes of a bounded scope do not share their lanes with others: (spec, path of the nearest bounded scope).
QueueKey = int | tuple[int, str]
# In which one priority's queues take turns. An ordered one, since the first is taken out again and again, which leaves
# a plain dictionary with ever more to skip.
Queues = OrderedDict[QueueKey, deque["Node"]]
# What a queue waits for that cannot go: the path of a scope all of whose lanes are open, or a spec whose duration is
# being found out.
Place = int | str


class IllegalMove(Exception):  # noqa: N818 - says what happened
    """A status would change in a way that the table does not know; tells the story so far."""


class Lane:
    """Runs that one process carries out one after another; it counts as one towards `max_parallel`."""

    __slots__ = ("bound", "counted", "lost", "nodes", "number", "open", "priority", "probe", "recalled")

    def __init__(self, number: int, open_runs: int, *, counted: bool = True, probe: bool = False) -> None:
        self.number = number
        self.open = open_runs
        self.counted = counted  # towards `max_parallel`; lanes of endless nodes are not
        self.probe = probe  # was opened to find out how long nodes of its spec take
        self.bound: Scope | None = None  # the nearest bounded scope of its nodes
        self.lost: Node | None = None  # the first of its runs that had begun when the process was lost
        self.priority: int | None = None  # None: it makes room for nobody
        self.nodes: list[Node] = []  # of one that might have to make room
        self.recalled = False  # to make room for a higher priority


class Clock:
    """How much of its own time limit a scope has used."""

    __slots__ = ("active", "armed", "limit", "since", "used")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.used = 0.0  # up to the last time that it stopped
        self.since: float | None = None  # it runs, from this on `State.elapsed`
        self.active = 0  # nodes and bodies that keep it going
        self.armed = False


class Scope:
    """A set of nodes with their own names: the root, one item of a map over a workflow, or a sub-workflow."""

    __slots__ = (
        "bound",
        "bounds",
        "cancelled",
        "clock",
        "closed",
        "computes",
        "decisions",
        "driven",
        "error",
        "index",
        "lanes_open",
        "last_nodes",
        "met",
        "nodes",
        "open",
        "outcome",
        "outputs",
        "parent",
        "path",
        "result",
        "shape",
    )

    def __init__(self, path: str, parent: Node | None, index: int | None) -> None:
        self.path = path  # '' for the root; else what stands before '/' in the ids of its nodes
        self.parent = parent  # the map or scope node that opened it
        self.index = index  # which item of a map
        self.nodes: dict[str, Node] = {}  # by relative id
        self.open = 0  # nodes that are not over
        self.closed = False
        self.driven = False
        self.met: frozenset[str] = frozenset()  # calls that were open when the body ended, whose failure it has met
        self.computes = False  # its body does something, as no call of it is open
        self.cancelled = False  # something in it failed for good; the rest must not run
        self.last_nodes: tuple[str, ...] = ()
        self.result: Argument = ()
        self.shape: str | None = None  # of the named outputs that a body returned instead of one result
        self.outputs: tuple[tuple[str, Argument], ...] = ()
        # What its body asked, each with the number of calls that it had made by then.
        self.decisions: list[tuple[int, DecisionMade]] = []
        self.error: ErrorRecord | None = None  # of the body that drove it, or of the first node that failed
        self.outcome: NodeStatus | None = None  # once it is over
        self.bounds: ScopeSettings | None = None  # its own
        self.bound: Scope | None = None  # the nearest bounded scope that it lies in, or itself
        # Of a bounded scope, with all that is below it:
        self.lanes_open = 0
        self.clock: Clock | None = None

    def absolute(self, relative: str) -> str:
        if not self.path:
            return relative
        return f"{self.path}/{relative}" if relative else self.path


class Node:
    """One node, whether of the drawn graph, an item of a map, or made by the kernel."""

    __slots__ = (
        "active",
        "alone",
        "asked",
        "attempt",
        "branch",
        "cached_from",
        "cached_node",
        "children",
        "dependents",
        "due",
        "error",
        "expanded",
        "given",
        "granted",
        "id",
        "index",
        "item_of",
        "items",
        "kept_at",
        "kind",
        "lane",
        "losses",
        "memory",
        "open",
        "order",
        "outputs",
        "owns",
        "pages",
        "pending",
        "plan",
        "reason",
        "scope",
        "seq",
        "shape",
        "spec",
        "spent",
        "status",
    )

    def __init__(
        self, node_id: str, plan: PlanNode, scope: Scope, item_of: Node | None = None, index: int | None = None
    ) -> None:
        self.id = node_id
        self.plan = plan
        self.kind = plan.kind
        self.spec = plan.spec
        self.scope = scope
        self.item_of = item_of  # the map whose single item this is
        self.index = index  # which item
        self.status = NodeStatus.PENDING
        self.reason: str | None = None
        self.attempt = 0  # the number of the newest attempt that was handed over
        self.spent = 0  # attempts that count against the retry policy
        self.losses = 0  # losses in a row
        self.alone = False  # it was lost while it ran: until it ends otherwise, it shares no lane
        self.memory: int | None = None  # bytes that its next attempt may use, once one has run out of memory
        self.pending = len(plan.edges)
        self.dependents: list[Node] | None = None
        self.lane: Lane | None = None
        self.seq: int | None = None  # the journal's event that holds the outputs' texts
        self.shape: str | None = None
        self.outputs: tuple[OutputMeta, ...] = ()
        self.error: ErrorRecord | None = None
        self.branch: str | None = None  # the handle that was taken
        self.cached_from: str | None = None  # the execution whose outcome it has,
        self.cached_node: str | None = None  # and where the cache found it, the node there
        self.kept_at: int | None = None  # the event of that execution that holds the texts, when they stay there
        self.due: float | None = None  # when its retry, sleep or time limit is due
        self.active = False  # keeps the time-out clock going: ready, queued, running or in back-off
        self.asked: str | None = None  # 'limit' | 'cache': an answer from outside; 'resume': the end of a pause
        self.granted = False  # holds its named limits
        self.owns = False  # does work that equal nodes anywhere wait for
        self.order = 0  # how many nodes were over when this one was; rises over the whole execution
        # Of a generator, items that came while it ran: how many, and where the texts are from an index on
        self.items = 0
        self.given: list[tuple[int, int, int]] | None = None  # (first index, seq of the event, offset in its data)
        # Of a container:
        self.children: list[Node | Scope] | None = None  # items of a map, or the one scope
        self.pages: list[tuple[int, int]] | None = None  # (first index, seq of the event with the items' texts)
        self.open = 0  # children that are not over
        self.expanded = False  # all children are known

    @property
    def over(self) -> bool:
        return self.status in NODE_OVER


class State:
    """Everything the kernel knows about one execution."""

    def __init__(self, execution: str) -> None:
        self.execution = execution
        self.at_once = AT_ONCE  # no part of what is decided: the state is the same whatever it is
        self.status = ExecutionStatus.PENDING
        self.reason: str | None = None
        self.settings = Settings()
        self.specs: list[NodeSpec] = []
        self.templates: dict[str, Template] = {}
        self.root = Scope("", None, None)
        self.scopes: dict[str, Scope] = {"": self.root}
        self.nodes: dict[str, Node] = {}
        self.inputs: tuple[str, ...] = ()
        self.body: str | None = None  # the entry of the body that extends the root scope
        self.seq = 0  # of the event that is being applied
        self.ended_count = 0  # nodes that are over
        self.counts: dict[NodeStatus, int] = dict.fromkeys(NodeStatus, 0)
        # Scheduling
        self.ready: dict[int, Queues] = {}  # priority -> spec -> nodes in order of arrival
        self.parked: dict[Place, dict[int, Queues]] = {}  # the same of those that cannot go now
        self.parked_at: dict[tuple[int, QueueKey], Place] = {}
        self.ready_count = 0  # nodes in all of them
        self.lanes_open = 0
        self.yielding: dict[int, dict[int, Lane]] = {}  # priority -> open lanes that could be recalled, by number
        self.recalled = 0  # open lanes that were recalled to make room
        self.in_flight = 0  # nodes that were handed over and have not come back
        self.lane_counter = 0
        self.means: dict[int, float] = {}  # mean duration of a spec's attempts, once known
        self.probing: dict[int, int] = {}  # open lanes of specs whose duration is not known yet
        # Ending
        self.ending: ExecutionStatus | None = None
        self.ending_error: ErrorRecord | None = None
        self.finishing: ExecutionStatus | None = None  # Finish was commanded; its event has not come yet
        self.signals: dict[str, deque[tuple[int, OutputMeta]]] = {}
        self.waiting_signals: dict[str, deque[Node]] = {}
        # The time-out clock
        self.used = 0.0
        self.clock_from: float | None = None  # None: the clock stands
        self.timeout_armed = False
        self.now = 0.0
        self.active = 0  # nodes that keep the clock going
        self.computing = 0  # bodies that do, for no call of them is open
        self.timed = False  # a scope has a clock of its own
        self.elapsed = 0.0  # what the clocks of scopes go by: stands in a pause, and while nobody holds the execution
        self.commands: list[Command] = []
        self.chores: deque[Iterator[None]] = deque()  # what is left to do of the event that is being applied
        self.story: deque[tuple[int, str, str, str]] = deque(maxlen=STORY_LENGTH)

    # -- the only ways in which a status changes --------------------------------------------------

    def move(self, node: Node, status: NodeStatus) -> None:
        before = node.status
        if (before, status) not in NODE_MOVES:
            raise IllegalMove(self._tale(node.id, before, status))
        node.status = status
        self.counts[before] -= 1
        self.counts[status] += 1
        self.story.append((self.seq, node.id, before, status))

    def move_execution(self, status: ExecutionStatus) -> None:
        before = self.status
        if before is status:
            return
        if (before, status) not in EXECUTION_MOVES:
            raise IllegalMove(self._tale(self.execution, before, status))
        self.status = status
        self.story.append((self.seq, self.execution, before, status))

    def _tale(self, who: str, before: str, after: str) -> str:
        moves = [move for move in self.story if move[1] == who][-10:]
        told = [f"at {seq} from {old} to {new}" for seq, _, old, new in moves]
        return (
            f"{who} cannot go from {before} to {after} at event {self.seq}; before that: {'; '.join(told) or 'nothing'}"
        )

    def add(self, node: Node) -> None:
        self.nodes[node.id] = node
        self.counts[NodeStatus.PENDING] += 1


def at_once(making: Generator[None, None, Made]) -> Made:
    """What is made by and by, without a pause."""
    while True:
        try:
            next(making)
        except StopIteration as done:
            made: Made = done.value
            return made


def go_last(state: State, steps: Iterator[None]) -> None:
    """The last thing that an event does: what is left at the first pause is a chore of the event. Where everything is
    about to end no pause may be made any more, as that ending would come before the rest."""
    for _ in steps:
        state.chores.append(steps)
        return


def taken_apart(state: State) -> Iterator[None]:
    """Free the nodes of a state that nobody needs any more, by and by. They know one another in circles, which else
    only the search for garbage finds, all at once."""
    wide = yield from _untied(state)
    for scope in state.scopes.values():
        scope.nodes.clear()
        yield
    while state.nodes:
        for _ in range(min(FREED_AT_ONCE, len(state.nodes))):
            state.nodes.popitem()
        yield
    while wide:
        parts = _parts(wide.pop())
        while parts:
            del parts[-FREED_AT_ONCE:]
            yield


def _untied(state: State) -> Generator[None, None, list[PlanNode]]:
    """No node knows another one any more. Gives the calls that are wide."""
    wide: list[PlanNode] = []
    for count, node in enumerate(state.nodes.values(), 1):
        node.children = node.dependents = None
        if len(node.plan.edges) > FREED_AT_ONCE:
            wide.append(node.plan)
        if not count % FREED_AT_ONCE:
            yield
    return wide


def _parts(call: PlanNode) -> list[object]:
    """What a wide call is made of. Once the call is gone, they are freed by whoever lets go of this list."""
    arguments = (*call.args.values(), *call.scope_args.values())
    return [*call.edges, *chain.from_iterable(arguments)]


FREED_AT_ONCE = 500
