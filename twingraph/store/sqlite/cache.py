"""The cache on SQLite: outcomes that are kept, and who is at work that others wait for.

Functions of a connection; those that write are called inside the transaction of the journal. An outcome is a pointer to
the event that ended the work: what the event says, and its values, stay where they are, as long as its execution does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from twingraph.store.base import CachedOutcome, CacheRow, Settled, Work

_KNOWN = """
select executions.id, cache.node, cache.done_at, events.body, events.data
from cache
join executions on executions.number = cache.execution
join events on events.execution = cache.execution and events.seq = cache.seq
where cache.scope = ? and cache.work = ? and cache.begun_at >= ? and cache.done_at >= ?
"""
_CLAIMED = """
select cache_claims.execution, cache_claims.node, cache_claims.begun_at, executions.status, executions.owner
from cache_claims
join executions on executions.number = cache_claims.execution
where cache_claims.scope = ? and cache_claims.work = ?
"""
# Whoever has lost the execution while it slept claims nothing: its next commit tells it so.
_CLAIM = """
insert into cache_claims (scope, work, execution, node, begun_at)
select :scope, :work, :number, :node, :at
where exists (select 1 from executions where number = :number and owner = :owner)
on conflict (scope, work) do update
set execution = excluded.execution, node = excluded.node, begun_at = excluded.begun_at
"""
_FREE = "delete from cache_claims where scope = ? and work = ? and execution = ? and node = ?"
# What was begun later stays: a refresh is not undone by whoever was at it before.
_KEEP = """
insert into cache (scope, work, execution, node, seq, begun_at, done_at, component, parts)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (scope, work) do update
set execution = excluded.execution, node = excluded.node, seq = excluded.seq, begun_at = excluded.begun_at,
    done_at = excluded.done_at, component = excluded.component, parts = excluded.parts
where excluded.begun_at >= cache.begun_at
"""
_OF_COMPONENT = """
select executions.id, cache.node, cache.work, cache.done_at, cache.parts
from cache
join executions on executions.number = cache.execution
where cache.component = ? and cache.done_at < ? order by cache.done_at desc limit ?
"""
_UNDER_WAY = ("pending", "running")
FOREVER = 1e18

Lives = Callable[[str], bool]


def find(
    db: sqlite3.Connection, scope: str, key: str, *, begun_after: float, done_after: float
) -> CachedOutcome | None:
    row = db.execute(_KNOWN, (scope, key, begun_after, done_after)).fetchone()
    return None if row is None else CachedOutcome(*row)


def look(db: sqlite3.Connection, work: Work, owner: str, lives: Lives) -> CachedOutcome | bool | None:
    """The outcome; True or False while the work is the asker's or another's; None when it is nobody's."""
    outcome = find(db, work.scope, work.key, begun_after=work.begun_after, done_after=work.done_after)
    if outcome is not None:
        return outcome
    found = db.execute(_CLAIMED, (work.scope, work.key)).fetchone()
    if found is None:
        return None
    execution, node, begun, status, holder = found
    if (execution, node) == (work.number, _text(work.node)):
        return True
    alive = status in _UNDER_WAY and holder is not None and (holder == owner or lives(holder))
    return False if alive and begun >= work.begun_after else None


def ask(db: sqlite3.Connection, work: Work, owner: str, lives: Lives) -> CachedOutcome | bool:
    """The outcome, or whether the work is the asker's now."""
    answer = look(db, work, owner, lives)
    if answer is not None:
        return answer
    claim = {"scope": work.scope, "work": work.key, "number": work.number, "node": _text(work.node), "at": work.at}
    db.execute(_CLAIM, {**claim, "owner": owner})
    return True


def settle(db: sqlite3.Connection, number: int, settled: Sequence[Settled]) -> None:
    """These are nobody's any more; what was done is kept."""
    for scope, key, node, begun, done in settled:
        if done is not None:
            kept = (scope, key, number, _text(node), done.seq, begun, done.at, _text(done.component), done.parts)
            db.execute(_KEEP, kept)
    db.executemany(_FREE, [(one.scope, one.key, number, _text(one.node)) for one in settled])


def of_component(db: sqlite3.Connection, component: str, before: float | None, limit: int) -> list[CacheRow]:
    rows = db.execute(_OF_COMPONENT, (_text(component), FOREVER if before is None else before, limit)).fetchall()
    return [CacheRow(*row) for row in rows]


def _text(name: str) -> str:
    """Half a surrogate pair has no UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
