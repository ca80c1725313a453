"""What the cache is asked about a node: under which name its outcome is shared, and what tells it from other work."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from twingraph.core.caching import CachePolicy, CacheScope, policy_of
from twingraph.core.codec import hash_text, length
from twingraph.core.codec_base import UNREADABLE, loads, ref_hashes
from twingraph.core.errors import CodecError, PermanentError, TwinGraphError
from twingraph.core.events import KINDS, NodeEnded, event_from
from twingraph.core.plan import IMPORTED, NodeSpec
from twingraph.core.quantities import seconds_text
from twingraph.dispatch.base import CodeRef
from twingraph.engine.ahead import ValuesAhead
from twingraph.engine.identity import cache_key_of, contents_of, keying
from twingraph.engine.kernel import Node, State
from twingraph.engine.values import Values
from twingraph.store.base import CachedOutcome
from twingraph.store.blobs.base import BlobStore


class UncacheableError(PermanentError):
    """Nobody would see that its code changed."""


class Unusable(Exception):  # noqa: N818 - says what is wrong with it
    """An outcome is known, and cannot be used here; says why."""


class Described(NamedTuple):
    scope: str
    key: str
    component: str
    policy: CachePolicy


def describe(state: State, values: Values, node: Node, workflow: str, said: str | None = None) -> Described | None:
    """None where nobody can say what the node is called with, or `said` is missing: what its function of a key says."""
    assert node.spec is not None
    spec = state.specs[node.spec]
    key = cache_key_of(state, values, node, said)
    if key is None:
        return None
    policy = policy_of(spec.cache)
    return Described(scope_of(policy.scope, workflow, state.execution), key, spec.component, policy)


def before_described(state: State, values: ValuesAhead, node: Node) -> Iterator[None]:
    """Whatever `describe` needs of a node with arguments of many parts, by and by: its key, or what the function that
    says it is called with."""
    assert node.spec is not None
    if policy_of(state.specs[node.spec].cache).function is None:
        yield from keying(state, values, node)
    else:
        yield from values.before_arguments([node])


def scope_of(scope: CacheScope, workflow: str, execution: str) -> str:
    if scope is CacheScope.WORKFLOW:
        return f"workflow {workflow}"
    return f"execution {execution}" if scope is CacheScope.EXECUTION else ""


def check_code(spec: NodeSpec) -> None:
    """Raises when a change of the component's code would not change its key, and its author does not say either."""
    function = policy_of(spec.cache).function
    hashes = [spec.code_hash] if function is None else [spec.code_hash, function.hash]
    if spec.version is None and any(one is None or one.startswith(IMPORTED) for one in hashes):
        raise UncacheableError(
            f"{spec.component} has `cache`, but its code{' or that of its key' if function else ''} is imported and "
            "not cut out of its module, so that nobody would see when it changes; give it a `version`, and change that "
            "with the code, or leave `cache` out"
        )


def parts_of(state: State, values: Values, node: Node) -> dict[str, Any]:
    """What a key is made of, each part alone, to say later how two works differ."""
    assert node.spec is not None
    spec = state.specs[node.spec]
    parts: dict[str, Any] = {
        "entry": spec.entry,
        "code": spec.code_hash,
        "platform": spec.platform,
        "docker_image": spec.docker_image,
        "version": spec.version,
        "environment": dict(spec.environment),
        "options": None if spec.options is None else hash_text(spec.options),
        "args": dict(contents_of(state, values, node)),
        "key": None if (function := policy_of(spec.cache).function) is None else function.hash,
    }
    return {name: part for name, part in parts.items() if part not in (None, {})}


def _is_list(ended: NodeEnded, lines: Sequence[str]) -> bool:
    try:
        return [name for name, _, _ in ended.outputs] == ["output"] and length(lines[0]) >= 0
    except CodecError:
        return False


def hit(code: CodeRef | None, node: Node, outcome: CachedOutcome, blobs: BlobStore) -> tuple[NodeEnded, Sequence[str]]:
    """The end of a node whose outcome was found, with its values: the large ones are those that there are. `code` is
    what would run. Raises Unusable."""
    whose = f"{outcome.node} in {outcome.execution}"
    lines = outcome.data.split("\n") if outcome.data is not None else []
    try:
        ended = event_from(KINDS[NodeEnded], outcome.body)
        refs = [ref for line in lines if '"$":"ref"' in line for ref in ref_hashes(loads(line))]
        digests = [str(ref["hash"]) for ref in refs]
        pickled = {str(ref["py"]) for ref in refs if ref["rung"] == "pickle"}
    except (TwinGraphError, *UNREADABLE) as error:
        raise Unusable(f"the outcome of {whose} cannot be read: {error}") from error
    if not isinstance(ended, NodeEnded) or len(ended.outputs) != len(lines):
        raise Unusable(f"the outcome of {whose} is damaged")
    if node.given and not _is_list(ended, lines):
        raise Unusable(f"{whose} gave no list, and some items of this one are handed over already")
    python = None if code is None else json.loads(code.description or "{}").get("python")
    if python is not None and pickled - {".".join(python.split(".")[:2])}:
        raise Unusable(f"{whose} gave what Python {', '.join(sorted(pickled))} has pickled")
    for digest in digests:
        if not blobs.refresh(digest):
            raise Unusable(f"a value of {whose} is gone: blob {digest[:12]}")
    event = NodeEnded(
        node.id,
        node.attempt,
        "completed",
        shape=ended.shape,
        outputs=ended.outputs,
        begun=False,
        cached_from=outcome.execution,
        cached_node=outcome.node,
    )
    return event, lines


def check_age(policy: CachePolicy, outcome: CachedOutcome, now: float) -> None:
    """Raises Unusable for an outcome that is older than who asks lets it be."""
    age = now - outcome.done_at
    if policy.ttl is not None and age > policy.ttl:
        raise Unusable(
            f"the outcome of {outcome.node} in {outcome.execution} is older ({seconds_text(age)}) than the ttl of "
            f"{seconds_text(policy.ttl)} lets it be"
        )


def parts_text(state: State, values: Values, node: Node) -> str:
    """The same to be kept; nothing where what it was called with is not there any more."""
    try:
        parts = parts_of(state, values, node)
    except TwinGraphError:
        parts = {}
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))
