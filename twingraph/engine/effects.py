"""Carrying out what the kernel commands: lanes to dispatch, timers, named limits, words to the bodies of pipelines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from twingraph.core.caching import KEY_MARK, policy_of
from twingraph.core.errors import StoreError, TwinGraphError
from twingraph.core.events import Event
from twingraph.core.plan import NodeKind
from twingraph.core.secrets import protect
from twingraph.dispatch.base import CodeRef, Dispatch, Lane, NodeRun
from twingraph.engine.detached import Detached
from twingraph.engine.held import Held
from twingraph.engine.kernel import Node, commands
from twingraph.engine.link import Bodies
from twingraph.engine.outcomes import handler_failed, impossible
from twingraph.engine.timers import Timers

# A function that says a key looks at its arguments; it must not take longer.
KEY_SECONDS = 300.0
_NO_CODE = CodeRef(version="builtin", bundle_path="", interpreter="", working_dir="")


class Effects:
    """The conductor's hands. `apply` brings the events that a command itself leads to, `apply_all` several that belong
    together; `holder` finds an execution."""

    timers: Timers

    def __init__(
        self,
        dispatch: Dispatch,
        apply: Callable[[Held, Event, Sequence[str] | None], None],
        apply_all: Callable[[Held, Iterable[tuple[Event, Sequence[str] | None]]], None],
        holder: Callable[[int], Held | None],
        code_of: Callable[[str], CodeRef],
        bodies: Bodies,
        detached: Detached,
        ask_cache: Callable[[Held, str], None],
        platforms: Collection[str] | None = None,
        *,
        slices: bool = True,
    ) -> None:
        self._dispatch = dispatch
        self._apply_lines = apply
        self._apply_all = apply_all
        self._holder = holder
        self._code_of = code_of
        self._bodies = bodies
        self._detached = detached
        self._ask_cache = ask_cache
        self._slices = slices  # code is cut out of its module, so that it is known by its content
        self._platforms = platforms  # where nodes can be carried out; None: anywhere
        self._lane = 0

    def forget(self, held: Held, why: str) -> None:
        """The execution is not ours any more: nothing of it waits."""
        self._bodies.let_go(held.state.execution, why)
        self.timers.clear_all(held.number)

    def carry_out(self, held: Held, command: commands.Command) -> None:
        """Do what the kernel wants. Called after the commit of what led to it."""
        execution = held.state.execution
        match command:
            case commands.Dispatch():
                self._dispatch_lane(held, command)
            case commands.SetTimer(timer, delay):
                self.timers.set(held.number, timer, delay)
            case commands.ClearTimer(timer):
                self.timers.clear(held.number, timer)
            case commands.CancelRuns(nodes):
                self._dispatch.cancel(execution, nodes)
            case commands.Recall(nodes):
                self._dispatch.recall(execution, nodes)
            case commands.AskCache(node):
                asking = held.state.nodes[node]
                kept = held.kept_for(asking)
                if kept is None or kept.failed or not self._keeps(held, asking, asking.attempt):
                    self._ask_cache(held, node)  # a failure is brought when it would run
            case commands.StartDriver(scope):
                self._bodies.start(execution, scope)
            case commands.WakeDriver(scope, node):
                self._bodies.wake(execution, scope, node)
            case commands.PassItems():
                self._bodies.give(execution, command)
            case commands.StopDriver(scope):
                self._bodies.give_up(execution, scope)
            case commands.StartDetached(node):
                if not self._keeps(held, held.state.nodes[node], held.state.nodes[node].attempt):
                    self._start_detached(held, node)
            case commands.Finish() | commands.AskLimit() | commands.ReleaseLimit() | commands.SettleCache():
                pass  # done before the commit, or with it

    def before(self, held: Held, command: commands.Command) -> Iterator[None] | None:
        """What must be put together by and by before this can be carried out: arguments of many parts, what is made of
        them, and what a sub-pipeline of many nodes gave."""
        nodes, values = held.state.nodes, held.values
        match command:
            case commands.WakeDriver(_, name):
                return values.before_given(nodes[name]) if values.is_long_value(nodes[name]) else None
            case commands.Dispatch():
                asking = [nodes[name] for name, _ in command.runs]
            case commands.AskCache(name) | commands.StartDetached(name):
                asking = [nodes[name]]
            case commands.StartDriver(path):
                opener = held.state.scopes[path].parent
                asking = [opener] if opener is not None else []
            case _:
                return None
        long = [node for node in asking if values.is_long(node)]
        return self._long_before(held, command, long) if long else None

    def _long_before(self, held: Held, command: commands.Command, long: Sequence[Node]) -> Iterator[None]:
        values = held.values
        for node in long:
            if node.id in held.kept:
                yield from values.before_call_hash(node)
        if type(command) is not commands.AskCache:
            yield from values.before_arguments(long, run=type(command) is commands.Dispatch)
            return
        from twingraph.engine.cached_work import before_described  # cached work only

        for node in long:
            yield from before_described(held.state, values, node)

    def take_over(self, held: Held) -> bool:
        """Bring the outcomes that are kept from an earlier execution of nodes which are now to run; whether there were
        any. That need not wait for the commit of what commands it, since nothing outside comes of it: thousands of
        nodes are through in a moment."""
        if not held.kept or not held.commands:
            return False
        commanded, held.commands = held.commands, []
        self._bring_kept(held, commanded)
        left: list[commands.Command] = []
        for command in commanded:
            if type(command) is commands.Dispatch:
                nodes = held.state.nodes
                runs = tuple(
                    run for run in command.runs if not (nodes[run[0]].over or self._keeps(held, nodes[run[0]], run[1]))
                )
                if not runs:
                    continue
                command = command._replace(runs=runs)
            left.append(command)
        taken = len(held.commands) > 0
        held.commands = [*left, *held.commands]
        return taken

    def _bring_kept(self, held: Held, commanded: Sequence[commands.Command]) -> None:
        if held.kept:
            from twingraph.engine.keeping import kept_now  # of replays only

            for event in kept_now(held, commanded):
                self._apply_lines(held, event, None)

    def _dispatch_lane(self, held: Held, command: commands.Dispatch) -> None:
        """Fill in the arguments and hand the lane over, but for nodes whose outcome is kept from before."""
        state = held.state
        runs: list[NodeRun] = []
        self._bring_kept(held, [command])
        for node_id, attempt in command.runs:
            node = state.nodes[node_id]
            if held.kept and (node.over or self._keeps(held, node, attempt)):
                continue
            try:
                self._check_platform(held, command.spec)
                runs.append(NodeRun(node_id, attempt, self._arguments(held, node)))
            except TwinGraphError as error:
                self._apply_lines(held, impossible(node_id, attempt, error), None)
                if node.kind is NodeKind.HANDLER:
                    held.logs.append(handler_failed(state, node))
        if not runs:
            return
        self._lane += 1
        settings = held.settings_of(command.spec)
        if command.memory is not None:
            settings = replace(settings, resources={**settings.resources, "memory": command.memory})
        self._dispatch.submit(
            Lane(
                number=self._lane,
                execution=state.execution,
                code=self._code(held, command.spec),
                settings=settings,
                runs=runs,
            )
        )

    def run_keys(self, held: Held, spec: int, runs: Sequence[tuple[str, int]]) -> Sequence[tuple[str, str]]:
        """Call the function that says the keys of these nodes; those that cannot be, with the reason."""
        function = policy_of(held.state.specs[spec].cache).function
        assert function is not None
        refused: list[tuple[str, str]] = []
        ready: list[NodeRun] = []
        for node, attempt in runs:
            try:
                self._check_platform(held, spec)
                given = self._arguments(held, held.state.nodes[node])
                args = [(name, text) for name, text in given if function.takes is None or name in function.takes]
                ready.append(NodeRun(f"{node}{KEY_MARK}", attempt, args))
            except TwinGraphError as error:
                refused.append((node, str(error)))
        if ready:
            self._lane += 1
            settings = replace(
                held.settings_of(spec),
                entry=function.entry,
                options=None,
                generator=False,
                asynchronous=False,
                resources={},  # what the node needs, its key does not
                timeout=KEY_SECONDS,
            )
            code = self._recorded(held, spec)  # that function is a slice, whatever the component is
            self._dispatch.submit(Lane(self._lane, held.state.execution, code, settings, ready))
        return refused

    def _start_detached(self, held: Held, node: str) -> None:
        try:
            self._detached.start(held, node)
        except StoreError:
            raise
        except TwinGraphError as error:  # what it is called with cannot be put together
            self._apply_lines(held, impossible(node, held.state.nodes[node].attempt, error), None)

    def _check_platform(self, held: Held, spec: int) -> None:
        """A node must never run elsewhere than its author said; what a body calls nobody has seen before."""
        given = held.state.specs[spec]
        platform = given.platform
        if given.cache and self._slices:
            from twingraph.engine.cached_work import check_code

            check_code(given)
        if self._platforms is not None and platform not in self._platforms:
            can = ", ".join(self._platforms)
            raise TwinGraphError(f"platform {platform!r} cannot be used yet: this version carries nodes out on {can}")

    def _code(self, held: Held, spec: int) -> CodeRef:
        """What runs this spec: whole modules have processes of their own."""
        ship = held.state.specs[spec].ship
        known = self._recorded(held, spec)
        return known if ship == "slice" else replace(known, version=f"{known.version} {ship}")

    def _recorded(self, held: Held, spec: int) -> CodeRef:
        """Where the code of this spec is: a component that was found late has a version of its own."""
        version = held.state.specs[spec].code
        if version is None:
            return held.code or _NO_CODE
        if version not in held.codes:
            held.codes[version] = self._code_of(version)
        return held.codes[version]

    def _keeps(self, held: Held, node: Node, attempt: int) -> bool:
        """Whether the node's outcome was known before; then it is brought instead."""
        kept = held.kept_for(node)
        if kept is None:
            return False
        events = [(event._replace(attempt=attempt), lines) for event, lines in kept.rows]
        if len(events) == 1:
            self._apply_lines(held, *events[0])
        else:  # the pages of a map
            self._apply_all(held, events)
        return True

    def _arguments(self, held: Held, node: Node) -> Sequence[tuple[str, str]]:
        if node.kind is NodeKind.HANDLER:
            from twingraph.engine import handler_args

            return [(name, protect(text)) for name, text in handler_args.of(held.state, node)]
        if node.kind is NodeKind.BRANCH or node.kind is NodeKind.MAP:  # these are never given secrets
            return held.values.arguments(node)
        return held.values.run_arguments(node)
