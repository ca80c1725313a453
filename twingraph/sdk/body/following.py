"""One way through a body, followed with symbolic values: the calls made on it, and what each decision of it was.

A `Follower` is the caller that a body finds while it is traced. It runs nothing; where the body's way depends on data,
it takes the choice that it was told, or the first one, and remembers that there were others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from twingraph.core.static_plan import CONTROL, DYNAMIC, GUESSED, StaticEdge, StaticNode
from twingraph.sdk.body.called import bound_arguments, describe, is_known, origins_of, symbols_in
from twingraph.sdk.body.pretended import failure_for
from twingraph.sdk.body.sites import Site, caught_by, position, site_of, surroundings, user_frames
from twingraph.sdk.body.symbols import HASH, Facts, Origin, Ready, Symbol, derived, facts_of, handle, shown
from twingraph.sdk.body.ways import Decision, Ended, Inner, Path, Region, Tracing

_MOST_DECISIONS = 200  # of one way; the further ones take their first choice
_MOST_VISITS = 50  # of one decision in a loop that nothing seems to end
_MOST_FAILURES = 3  # of one `try` in a `for` loop, which may count its attempts
_WAITS = ("sleep", "signal", "side_effect")  # of which views tell the kind
ROOT = "followed"


# Traces what a pipeline called in a body would call: (pipeline, arguments) -> what is inside.
Nested = Callable[[Any, Mapping[str, Any]], Inner]


class Follower:
    """The caller of one way through one body."""

    in_side_effect = False  # none is carried out

    def __init__(self, tracing: Tracing, path: Path, nested: Nested, *, in_loop: bool = False) -> None:
        self.in_loop = in_loop
        self._tracing = tracing
        self._path = path
        self._nested = nested
        self._counts: dict[str, int] = {}
        self._regions: list[Region] = []
        self._each: set[str] = set()  # regions that go through items
        self._rest: Region | None = None  # everything from here on rests on a guess
        self._forced: dict[str, dict[str, None]] = {}  # by the task that looked
        self._visits: dict[Site, list[int]] = {}  # (choice, nodes by then) per visit
        self._firsts: dict[Site, tuple[int, int]] = {}
        self._failures: dict[tuple[int, int], int] = {}
        self._answers: dict[str, int] = {}
        self._frames: list[Any] = []  # kept alive, so that no other frame is taken for one of them

    # -- calls -----------------------------------------------------------------------------------------

    def call(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        described = describe(target)
        given, parents = bound_arguments(described, args, kwargs, self._warn)
        opened = described.pipeline is not None and not described.detached
        kind = "scope" if opened else "detached" if described.pipeline is not None else "task"
        node = self._add(described.name, kind, described.id, described.platform, given, parents)
        if kind == "task":
            known = given if all(map(is_known, given.values())) else None
            self._path.nodes[node] = replace(self._path.nodes[node], call=(target, known))
        if opened:
            self._path.inner[node] = self._nested(target, given)
        self._may_fail()
        return handle(self, node)

    def settings(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those that are known; a run waits for the others."""
        symbolic = {name: found for name, value in given.items() if (found := list(symbols_in(value)))}
        for found in symbolic.values():
            for facts in found:
                self.force(facts)
        return {name: value for name, value in given.items() if name not in symbolic}

    def _warn(self, message: str) -> None:
        self._tracing.warn(f"{message} ({_place() or 'in no file'})")

    def _add(
        self,
        name: str,
        kind: str,
        chosen: str | None = None,
        platform: str = "local",
        given: Mapping[str, Any] | None = None,
        parents: Iterable[Any] = (),
    ) -> str:
        self._check()
        if len(self._path.nodes) >= self._tracing.limits.calls:
            self._tracing.warn(f"more than {self._tracing.limits.calls:,} calls on one way; the plan ends there")
            raise Ended(f"more than {self._tracing.limits.calls:,} calls")
        node = chosen or self._named(name)
        if chosen:
            self._path.named.add(chosen)
        region = self._region_of((given or {}).values())
        self._path.nodes[node] = StaticNode(
            id=node,
            component=kind if kind in _WAITS else name,
            kind=kind,
            platform=platform,
            region=region,
            place=_place(),
        )
        self._draw(node, given or {}, parents)
        return node

    def _named(self, name: str) -> str:
        """The name of a live run."""
        caller = _task()
        base = name.replace("/", "_")
        base = f"{base}@{caller}" if caller else base
        while True:
            count = self._counts[base] = self._counts.get(base, 0) + 1
            full = base if count == 1 else f"{base}-{count}"
            if full not in self._path.nodes:
                return full

    def _region_of(self, given: Iterable[Any]) -> str | None:
        """The open region; else that of the items which a `for` goes through once more."""
        if self._regions:
            return self._regions[-1].id
        if self._rest is not None:
            return self._rest.id
        frame = next(user_frames(ROOT), None)
        again = frame is not None and surroundings(frame.f_code.co_filename, *position(frame)).loop == "for"
        held = {node.region for node in self._path.nodes.values()}
        for facts in map(facts_of, given):
            if facts is None or facts.whole:
                continue
            if isinstance(facts.item_of, Region) and (again or facts.item_of.id not in held):
                return facts.item_of.id
            homes = (self._path.nodes[one.node].region for one in facts.origins if one.node in self._path.nodes)
            region = next((home for home in homes if home in self._each), None)
            if again and region is not None:
                return region
        return None

    def _draw(self, node: str, given: Mapping[str, Any], parents: Iterable[Any]) -> None:
        """Edges of data, then those of order alone between nodes that have none."""
        drawn: set[str] = set()
        for param, value in given.items():
            for origin in origins_of(value):
                if origin.output != HASH and origin.node != node:
                    self._edge(StaticEdge(source=origin.node, target=node, output=origin.output, param=param))
                    drawn.add(origin.node)
        order = [origin.node for value in (*given.values(), *parents) for origin in origins_of(value)]
        for source in dict.fromkeys([*order, *self._forced.pop(_task(), ())]):
            if source not in drawn and source != node:
                self._edge(StaticEdge(source=source, target=node, label=CONTROL))

    def _edge(self, edge: StaticEdge) -> None:
        if edge.source in self._path.nodes:
            self._path.edges[edge] = None

    def _check(self) -> None:
        if self._tracing.late:
            raise Ended

    # -- durable functions -----------------------------------------------------------------------------

    def sleep(self, seconds: Any) -> Any:
        return self._done(self._add("sleep", "sleep", given={"seconds": seconds}))

    def timer_of_task(self, seconds: float) -> Callable[[], None]:
        """A timer of asyncio's. Only when it goes off, which it then tells, has the task that set it waited for it."""
        node, task = self._add("sleep", "sleep", given={"seconds": seconds}), _task()

        def gone_off() -> None:
            self._forced.setdefault(task, {})[node] = None

        return gone_off

    def timer(self, seconds: Any) -> None:
        """Of a wait that has a limit."""
        self._add("timeout", "sleep", given={"seconds": seconds})

    def wait_for_signal(self, name: str, timeout: Any) -> Any:
        node = self._add("wait_for_signal", "signal", given={"timeout": timeout})
        if facts_of(name) is None:
            self._path.nodes[node] = replace(self._path.nodes[node], signal=str(name))
        self._may_fail()
        return self._done(node)

    def side_effect(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        named = {str(at): value for at, value in enumerate(args)}
        word = getattr(function, "__name__", "side_effect").strip("<>")
        node = self._add(word, "side_effect", given={**named, **kwargs})
        self._may_fail()
        return self._done(node)

    def _done(self, node: str) -> Any:
        """The value of what was waited for where it was asked for."""
        self._forced.setdefault(_task(), {})[node] = None
        return derived(Facts(self, node, (Origin(node),)), node)

    def unknown(self, label: str, origins: tuple[Origin, ...] = ()) -> Any:
        return Symbol(Facts(self, label, origins))

    def now(self) -> Any:
        return self.unknown("now()")

    def random(self) -> Any:
        return self.unknown("random")

    def uuid4(self) -> Any:
        return self.unknown("uuid4()")

    # -- handles ---------------------------------------------------------------------------------------

    def gather(self, handles: Iterable[Any]) -> Any:
        values = [self.settled(None, one) for one in handles]
        for one in values:
            self._force_value(one)
        return Ready(values) if self.in_loop else values

    def wait_any(self, handles: Iterable[Any]) -> Any:
        every = list(handles)
        for one in every:
            self._force_value(one)
        first = self._one_of("first of", every)
        return Ready(first) if self.in_loop else first

    def as_completed(self, handles: Iterable[Any]) -> Iterator[Any]:
        every = list(handles)
        for _ in every:
            yield self._one_of("one of", every)

    def _one_of(self, word: str, every: list[Any]) -> Any:
        names = ", ".join(shown(one) for one in every)
        origins = tuple(dict.fromkeys(origin for one in every for origin in origins_of(one)))
        return Symbol(Facts(self, f"{word} {names}", origins, face="handle"))

    def _force_value(self, value: Any) -> None:
        facts = facts_of(value)
        if facts is not None:
            self.force(facts)

    # -- what symbols ask ------------------------------------------------------------------------------

    def force(self, facts: Facts) -> None:
        """The body looks at the value: what it calls next comes after."""
        self._check()
        forced = self._forced.setdefault(_task(), {})
        for origin in facts.origins:
            forced[origin.node] = None
        if facts.face == "handle":
            self._may_fail()

    def guess(self, facts: Facts, label: str) -> None:
        """Python took a real value where only a symbolic one was known."""
        self.force(facts)
        if self._rest is None:
            self._rest = self._open(f"{GUESSED} {label}", facts, push=False)

    def stands_for_many(self, facts: Facts) -> bool:
        """Whether it is an item of a region, or was made in one: then there may be any number of its kind."""
        held = (self._path.nodes.get(origin.node) for origin in facts.origins)
        return facts.item_of is not None or any(node is not None and node.region is not None for node in held)

    def each(self, facts: Facts) -> Iterator[Any]:
        """One item, which stands for all; what is called meanwhile stands in one region."""
        self.force(facts)
        region = self._open(f"for each of {facts.label}", facts)
        self._each.add(region.id)
        item = derived(facts, f"item of {facts.label}")
        object.__getattribute__(item, "_twingraph").item_of = region
        return self._items(item, region)

    def _items(self, item: Any, region: Region) -> Iterator[Any]:
        try:
            yield item
        finally:
            if region in self._regions:
                del self._regions[self._regions.index(region) :]

    def _open(self, label: str, facts: Facts | None = None, *, push: bool = True, place: str | None = None) -> Region:
        place = place or _place()
        line = place.rpartition(":")[2] if place else ""
        name = f"~{line}"
        count = self._counts[name] = self._counts.get(name, 0) + 1
        region = Region(name if count == 1 else f"{name}-{count}")
        outer = self._regions[-1].id if self._regions else self._rest.id if self._rest is not None else None
        self._path.nodes[region.id] = StaticNode(
            id=region.id, component=label, kind=DYNAMIC, platform="-", region=outer, place=place
        )
        for origin in facts.origins if facts is not None else ():
            self._edge(StaticEdge(source=origin.node, target=region.id, label=CONTROL))
        if push:
            self._regions.append(region)
        return region

    # -- decisions -------------------------------------------------------------------------------------

    def decide_truth(self, facts: Facts) -> bool:
        self.force(facts)
        frame = next(user_frames(ROOT), None)
        if frame is None:
            return True
        site = site_of(frame)
        around = surroundings(site.file, site.line, site.column)
        reasons = (f"if {facts.label}", f"if not {facts.label}")
        if around.loop == "while" and site in self._firsts:
            return self._again(site, facts) == 0
        choice = self._chosen(Decision(site.place, reasons), facts.label)
        self._remember(site, choice, frame)
        return choice == 0

    def _again(self, site: Site, facts: Facts) -> int:
        """A loop has come round to the same question: the other answer ends it, and what it did may repeat."""
        first, since = self._firsts[site]
        visits = self._visits.setdefault(site, [])
        visits.append(1)
        if len(visits) > _MOST_VISITS:
            raise Ended(f"{GUESSED} {facts.label}")
        if len(visits) == 1:
            self._repeats(since, site, facts)
        return 0 if first else 1

    def _repeats(self, since: int, site: Site, facts: Facts) -> None:
        order = list(self._path.nodes)
        outer = self._regions[-1].id if self._regions else self._rest.id if self._rest is not None else None
        held = [node for node in order[since:] if self._path.nodes[node].region == outer]
        if not held:
            return
        region = self._open(f"repeats, as {facts.label} decides", facts, push=False)
        region_node = self._path.nodes.pop(region.id)
        moved = {}
        for at, (name, node) in enumerate(self._path.nodes.items()):
            if at == since:
                moved[region.id] = region_node
            moved[name] = replace(node, region=region.id) if name in held else node
        self._path.nodes = moved
        self._path.edges = {
            edge: None for edge in self._path.edges if not (edge.target == region.id and edge.source in held)
        }

    def _chosen(self, decision: Decision, about: str) -> int:
        """What was told to be chosen here; the same question has the same answer all along one way."""
        path = self._path
        if about in self._answers:
            return self._answers[about]
        if len(path.taken) >= _MOST_DECISIONS:
            return 0
        at = len(path.taken)
        choice = path.wanted[at] if at < len(path.wanted) else 0
        path.taken.append(choice)
        path.decisions.append(decision)
        if not decision.failure:
            self._answers[about] = choice
        return choice

    def _remember(self, site: Site, choice: int, frame: Any) -> None:
        if site not in self._firsts:
            self._firsts[site] = (choice, len(self._path.nodes))
            self._frames.append(frame)

    # -- failures --------------------------------------------------------------------------------------

    def _may_fail(self) -> None:
        """Inside a `try`: on further ways, what was called fails here, once for each handler."""
        for frame in user_frames(ROOT):
            line, column = position(frame)
            around = surroundings(frame.f_code.co_filename, line, column)
            if not around.tries:
                continue
            block = around.tries[-1]
            key = (id(frame), block.lineno)
            count = self._failures[key] = self._failures.get(key, 0) + 1
            self._frames.append(frame)
            if count > (_MOST_FAILURES if around.loop == "for" and not self._regions else 1):
                return
            classes = [caught_by(clause, frame) for clause in block.handlers]
            possible = [made for made in (failure_for(kind, self.unknown) for kind in classes) if made is not None]
            where = f"{frame.f_code.co_filename}:{line}"
            reasons = (f"unless line {line} fails", *(f"when line {line} fails" for _ in possible))
            choice = self._chosen(Decision(where, reasons, failure=True), "")
            if choice:
                raise possible[choice - 1]
            return

    # -- what a rewritten body asks --------------------------------------------------------------------

    def mark(self) -> Any:
        return None

    def settle(self, mark: Any) -> None: ...

    def looked_at(self, value: Any) -> Any:
        self._force_value(value)
        return value

    def plain(self, value: Any) -> Any:
        """`value is None` may be true of any value that is not known."""
        facts = facts_of(value)
        if facts is None:
            return value
        frame = next(user_frames(ROOT), None)
        if frame is None:
            return value
        self.force(facts)
        site = site_of(frame)
        reasons = (f"if {facts.label} is not None", f"if {facts.label} is None")
        around = surroundings(site.file, site.line, site.column)
        if around.shapes:
            self.guess(facts, f"the shape of {facts.label}")
            if self._rest is not None:
                self._path.kept.add(self._rest.id)
            return value
        if around.loop == "while" and site in self._firsts:
            return None if self._again(site, facts) else value
        choice = self._chosen(Decision(site.place, reasons), f"{facts.label} is None")
        self._remember(site, choice, frame)
        return None if choice else value

    def settled(self, mark: Any, value: Any) -> Any:
        return value

    def returned(self, mark: Any, value: Any) -> Any:
        return value

    async def asettle(self, mark: Any) -> None: ...

    async def asettled(self, mark: Any, value: Any) -> Any:
        return value

    async def areturned(self, mark: Any, value: Any) -> Any:
        return value

    # -- the end ---------------------------------------------------------------------------------------

    def leave_open(self, label: str, place: str | None) -> None:
        """The rest of this way is not known."""
        self._path.end = "open"
        self._path.kept.add(self._open(label, push=False, place=place).id)


def _place() -> str | None:
    frame = next(user_frames(ROOT), None)
    return None if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _task() -> str:
    """The name of the asyncio task that calls; '' the body itself."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return ""
    return getattr(task, "twingraph_caller", "") if task is not None else ""
