"""Why a node that may use a kept outcome did, or did not: computed when somebody asks, from what is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from twingraph.core.caching import CachePolicy, CacheScope, policy_of
from twingraph.core.errors import TwinGraphError
from twingraph.core.events import CacheAnswered, CacheOwnerLost, Event
from twingraph.core.execution import CacheStory
from twingraph.core.plan import NodeKind
from twingraph.core.statuses import NodeStatus
from twingraph.engine import differences
from twingraph.engine.cached_work import parts_of
from twingraph.engine.folding import restore
from twingraph.engine.identity import cache_key_of
from twingraph.engine.kernel import Node, State
from twingraph.engine.values import Values
from twingraph.store.base import CacheRow, Records
from twingraph.store.blobs.base import BlobStore

# So many paths or definitions are told of each part that differs.
MOST = 3


class Answers:
    """What the cache answered, gathered from the events as they are folded: when it was told to go on, and why."""

    def __init__(self) -> None:
        self.by_node: dict[str, tuple[float, str | None]] = {}

    def take(self, event: Event, at: float) -> None:
        if isinstance(event, CacheAnswered):
            self.by_node[event.node] = at, event.why
        elif isinstance(event, CacheOwnerLost):
            self.by_node[event.node] = at, "whoever was at the same work gave it up"


class Past(NamedTuple):
    """An execution that a node is compared with."""

    state: State
    values: Values
    code_version: str | None


class Explaining:
    """Of one execution."""

    def __init__(self, records: Records, blobs: BlobStore, here: Past, answers: Answers) -> None:
        self._records = records
        self._blobs = blobs
        self._here = here
        self._answers = answers
        self._past = cache(self._read)
        self._bundle = cache(self._read_bundle)

    def story(self, node: Node, *, deep: bool) -> CacheStory | None:
        """None for what is not cached. `deep` looks into the values and the code that differ, which reads more."""
        state = self._here.state
        spec = state.specs[node.spec] if node.spec is not None and node.kind is NodeKind.TASK else None
        if spec is None or not spec.cache:
            return None
        if node.cached_node is not None:
            return CacheStory(verdict="hit", execution=node.cached_from, node=node.cached_node)
        if node.asked == "cache":
            return CacheStory(verdict="waits" if node.reason else "asked")
        known = self._answers.by_node.get(node.id)
        if known is None:
            return CacheStory(verdict="kept" if node.status is NodeStatus.COMPLETED else "not asked")
        at, why = known
        if why is None and state.settings.fresh_from is not None:
            why = "done anew, as was asked for"
        if why is not None:
            return CacheStory(verdict="miss", why=why)
        return self._compared(node, spec.component, at, deep)

    def _compared(self, node: Node, component: str, at: float, deep: bool) -> CacheStory:
        try:
            mine = parts_of(self._here.state, self._here.values, node)
        except TwinGraphError as error:
            return CacheStory(verdict="miss", why=f"what it was called with cannot be read: {error}")
        rows = self._records.cached(component, before=at)
        nearest = max(rows, key=lambda row: _likeness(mine, json.loads(row.parts)), default=None)
        if nearest is None:
            return CacheStory(verdict="miss", why="no earlier outcome of this component is kept")
        if cache_key_of(self._here.state, self._here.values, node) == nearest.key:
            return CacheStory(verdict="miss", why=self._same_work(node, nearest))
        told = tuple(self._differences(node, mine, nearest, deep))
        return CacheStory(verdict="miss", execution=nearest.execution, node=nearest.node, differences=told)

    # -- what differs ------------------------------------------------------------------------------

    def _differences(self, node: Node, mine: Mapping[str, Any], row: CacheRow, deep: bool) -> Iterator[str]:
        theirs = json.loads(row.parts)
        if mine.get("code") != theirs.get("code") or mine.get("entry") != theirs.get("entry"):
            yield from self._code(node, row, deep)
        if mine.get("key") != theirs.get("key"):
            yield "the function that says its key"
        for name in ("platform", "docker_image", "version"):
            if mine.get(name) != theirs.get(name):
                yield f"{name}: {theirs.get(name)} → {mine.get(name)}"
        old, new = theirs.get("environment", {}), mine.get("environment", {})
        for name in dict.fromkeys((*old, *new)):
            if old.get(name) != new.get(name):
                yield f"environment {name}: {old.get(name)!r} → {new.get(name)!r}"
        if mine.get("options") != theirs.get("options"):
            yield "its config"
        yield from self._arguments(node, mine.get("args", {}), theirs.get("args", {}), row, deep)

    def _same_work(self, node: Node, row: CacheRow) -> str:
        scope = self._policy(node).scope
        own = "" if scope is CacheScope.HOME else f", or is not of the same {scope}, which alone shares it"
        return f"{row.node} in {row.execution} did equal work, whose outcome was not kept yet{own}"

    def _policy(self, node: Node) -> CachePolicy:
        assert node.spec is not None
        return policy_of(self._here.state.specs[node.spec].cache)

    def _arguments(
        self, node: Node, mine: Mapping[str, Any], theirs: Mapping[str, Any], row: CacheRow, deep: bool
    ) -> Iterator[str]:
        chosen = self._policy(node).key  # the others tell no work apart
        for name in dict.fromkeys((*theirs, *mine)):
            if mine.get(name) == theirs.get(name) or (chosen is not None and name not in chosen):
                continue
            paths = list(islice(self._paths(node, name, row), MOST + 1)) if deep else []
            yield from paths[:MOST] or [f"input {name}"]
            if len(paths) > MOST:
                yield f"and more in {name}"

    def _paths(self, node: Node, name: str, row: CacheRow) -> Iterator[str]:
        past = self._past(row.execution)
        if past is None or row.node not in past.state.nodes:
            return
        before = past.values.shown(past.state.nodes[row.node]).get(name)
        after = self._here.values.shown(node).get(name)
        if before is None or after is None:
            yield (
                f"{name} is given, and was not before" if before is None else f"{name} was given before, and is not now"
            )
            return
        try:
            yield from differences.of_values(name, before, after, self._text)
        except TwinGraphError:
            return

    def _text(self, digest: str) -> str | None:
        try:
            return bytes(self._blobs.read(digest)).decode("utf-8")
        except (TwinGraphError, UnicodeDecodeError):
            return None

    def _code(self, node: Node, row: CacheRow, deep: bool) -> Iterator[str]:
        past = self._past(row.execution) if deep else None
        told: list[str] = []
        if past is not None and row.node in past.state.nodes:
            (old, old_entry), (new, new_entry) = (
                self._code_of(past, past.state.nodes[row.node]),
                self._code_of(self._here, node),
            )
            if old is not None and new is not None:
                try:
                    told = list(islice(differences.of_code(old, new, old_entry, new_entry), MOST))
                except (KeyError, SyntaxError, TypeError):  # recorded by another version
                    told = []
        yield from told or ["its code"]

    def _code_of(self, past: Past, node: Node) -> tuple[Any, str]:
        assert node.spec is not None
        spec = past.state.specs[node.spec]
        version = spec.code or past.code_version
        return (None if version is None else self._bundle(version)), spec.entry or ""

    # -- what is read for it -----------------------------------------------------------------------

    def _read(self, execution: str) -> Past | None:
        try:
            record = self._records.record(execution)
            rows = self._records.rows(execution)
            state = restore(execution, None, rows)
        except TwinGraphError:
            return None
        data = {row.seq: row.data for row in rows}
        return Past(
            state, Values(state, data.get, self._blobs, read_shared=self._records.values_of), record.code_version
        )

    def _read_bundle(self, version: str) -> Any:
        body = self._records.code(version)
        text = None if body is None else self._text(json.loads(body)["bundle"])
        return None if text is None else json.loads(text)


def _likeness(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> int:
    """How many parts are equal, or at least there; of equally near ones the newest is taken, which comes first."""
    args: Mapping[str, Any] = mine.get("args", {})
    others: Mapping[str, Any] = theirs.get("args", {})
    names = ("code", "entry", "platform", "docker_image", "version", "environment", "options")
    same = [2 for name in names if mine.get(name) == theirs.get(name)]
    return sum(same) + sum(2 if others[name] == digest else 1 for name, digest in args.items() if name in others)
