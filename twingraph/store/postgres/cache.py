"""The cache on PostgreSQL: outcomes that are kept, and who is at work that others wait for.

Functions of a connection. Who asks for work does that alone in all of the store; who settles it need not wait for that,
since who asks looks at the claims first, and then at what was done.
"""

from __future__ import annotations

from collections.abc import Sequence

from twingraph.store.base import Append, CachedOutcome, CacheRow, Settled, Work
from twingraph.store.postgres.arrays import of_numbers, of_texts
from twingraph.store.postgres.connection import Connection, Link
from twingraph.store.postgres.statements import lives
from twingraph.store.writable import without_zero

_ALONE = "select pg_advisory_xact_lock(hashtextextended('twingraph cache ' || current_schema(), 0))"
_ASKED = "unnest(%(scopes)s::text[], %(keys)s::text[]) as asked (scope, work)"
_CLAIMED = f"""
select scope, work, cache_claims.execution, cache_claims.node, cache_claims.begun_at,
    executions.status in ('pending', 'running') and executions.owner is not null
    and (executions.owner = %(owner)s or {lives("executions.owner")})
from {_ASKED} join cache_claims using (scope, work) join executions on executions.number = cache_claims.execution
"""
_FOUND = """
select scope, work, cache.begun_at, executions.id, cache.node, cache.done_at, events.body, events.data
from {} join cache using (scope, work)
join executions on executions.number = cache.execution
join events on events.execution = cache.execution and events.seq = cache.seq
"""
_KNOWN = _FOUND.format(_ASKED)
_KNOWN_ONE = _FOUND.format("(select %s::text as scope, %s::text as work) as asked")
# Whoever has lost the execution while it slept claims nothing: its next commit tells it so.
_CLAIM = """
insert into cache_claims (scope, work, execution, node, begun_at)
select %(scope)s, %(work)s, %(number)s, %(node)s, %(at)s
where exists (select 1 from executions where number = %(number)s and owner = %(owner)s)
on conflict (scope, work) do update
set execution = excluded.execution, node = excluded.node, begun_at = excluded.begun_at
"""
_OF_COMPONENT = """
select executions.id, cache.node, cache.work, cache.done_at, cache.parts
from cache join executions on executions.number = cache.execution
where cache.component = %s and cache.done_at < %s order by cache.done_at desc limit %s
"""
_FOREVER = 1e18

_Key = tuple[str, str]


def ask(connection: Connection, asked: Sequence[Work], owner: str) -> list[CachedOutcome | bool]:
    with connection.transaction():
        connection.execute(_ALONE)
        given = {
            "scopes": of_texts([work.scope for work in asked]),
            "keys": of_texts([work.key for work in asked]),
            "owner": owner,
        }
        claims = {(row[0], row[1]): row[2:] for row in connection.execute(_CLAIMED, given)}
        known = {(row[0], row[1]): row[2:] for row in connection.execute(_KNOWN, given)}
        answers: list[CachedOutcome | bool] = []
        for work in asked:
            place = work.scope, work.key
            outcome = _fitting(work.begun_after, work.done_after, known.get(place))
            if outcome is not None:
                answers.append(outcome)
                continue
            node = without_zero(work.node)
            execution, holder, begun, alive = claims.get(place, (0, "", 0.0, False))
            ours = (execution, holder) == (work.number, node)
            if not ours and not (alive and begun >= work.begun_after):
                claim = {"scope": work.scope, "work": work.key, "number": work.number, "node": node, "at": work.at}
                connection.execute(_CLAIM, {**claim, "owner": owner})
                claims[place] = work.number, node, work.at, True
                ours = True
            answers.append(ours)
    return answers


def _fitting(begun_after: float, done_after: float, row: Sequence[object] | None) -> CachedOutcome | None:
    if row is None:
        return None
    begun, execution, node, done, body, data = row
    if begun < begun_after or done < done_after:  # type: ignore[operator]
        return None
    return CachedOutcome(execution, node, done, body, data)  # type: ignore[arg-type]


def find(link: Link, scope: str, key: str, *, begun_after: float, done_after: float) -> CachedOutcome | None:
    found = link.ask(_KNOWN_ONE, (scope, key))
    return _fitting(begun_after, done_after, found[0][2:]) if found else None


def of_component(link: Link, component: str, before: float | None, limit: int) -> list[CacheRow]:
    rows = link.ask(_OF_COMPONENT, (without_zero(component), _FOREVER if before is None else before, limit))
    return [CacheRow(*row) for row in rows]


def settled(parts: Sequence[Append]) -> dict[str, str]:
    """The values of what is done or given up; nothing without any."""
    all_ = [(part.number, one) for part in parts for one in part.settled]
    if not all_:
        return {}
    newest: dict[_Key, tuple[int, Settled]] = {}  # a statement keeps one outcome of the same work
    for number, one in all_:
        before = newest.get((one.scope, one.key))
        if one.done is not None and (before is None or before[1].begun <= one.begun):
            newest[one.scope, one.key] = number, one
    kept = [(number, one, one.done) for number, one in newest.values() if one.done is not None]
    return {
        "free_scope": of_texts([one.scope for _, one in all_]),
        "free_work": of_texts([one.key for _, one in all_]),
        "free_execution": of_numbers([number for number, _ in all_]),
        "free_node": of_texts([without_zero(one.node) for _, one in all_]),
        "kept_scope": of_texts([one.scope for _, one, _ in kept]),
        "kept_work": of_texts([one.key for _, one, _ in kept]),
        "kept_execution": of_numbers([number for number, _, _ in kept]),
        "kept_node": of_texts([without_zero(one.node) for _, one, _ in kept]),
        "kept_seq": of_numbers([done.seq for _, _, done in kept]),
        "kept_begun": of_numbers([one.begun for _, one, _ in kept]),
        "kept_done": of_numbers([done.at for _, _, done in kept]),
        "kept_component": of_texts([without_zero(done.component) for _, _, done in kept]),
        "kept_parts": of_texts([done.parts for _, _, done in kept]),
    }
