"""Named limits on SQLite: who holds them, and for what the conductors wait.

Functions of a connection. Those that write are called inside the transaction of the journal, which is the only writer
then: what they count stays true until the commit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from twingraph.store.base import LimitTurn, LimitUse, Wanting, Wish

_HELD = """
select name, count(*) from limit_holders where name in (select value from json_each(?)) group by name
"""
_WISHES = "select conductor, limits, priority, asked from limit_wishes where conductor <> ?"
_GRANT = """
insert into limit_holders (name, execution, node) select ?, number, ? from executions where number = ? and epoch = ?
"""
_FREE = "delete from limit_holders where execution = ? and node = ?"
_FREE_ALL = "delete from limit_holders where execution = ?"
_WISH = """
insert into limit_wishes (conductor, limits, priority, asked) values (?, ?, ?, ?)
on conflict (conductor, limits) do update set priority = excluded.priority, asked = excluded.asked
"""
_UNWISH = "delete from limit_wishes where conductor = ? and limits = ?"

_SEEN = """
select owner from executions
where owner is not null and exists (select 1 from limit_holders where execution = executions.number)
union
select conductor from limit_wishes
"""
_HOLDING = """
select distinct executions.number from limit_holders join executions on executions.number = limit_holders.execution
where executions.owner = ?
"""
_FENCE = "update executions set owner = null, epoch = epoch + 1 where number = ?"
_FORGET_WISHES = "delete from limit_wishes where conductor = ?"


def use(db: sqlite3.Connection, turn: LimitTurn) -> LimitUse:
    here = frozenset(turn.names)
    wishes = [wish for wish in _wishes(db, turn.owner) if any(name in here for name, _ in wish.limits)]
    names = {_text(name): name for name in here.union(name for wish in wishes for name, _ in wish.limits)}
    held = db.execute(_HELD, (json.dumps(list(names)),)).fetchall() if names else ()
    return LimitUse(wishes, {names[name]: count for name, count in held})


def _wishes(db: sqlite3.Connection, asker: str) -> Iterator[Wish]:
    for owner, limits, priority, asked in db.execute(_WISHES, (asker,)).fetchall():
        yield Wish(owner, tuple((name, most) for name, most in json.loads(limits)), priority, asked)


def give_out(
    db: sqlite3.Connection, turn: LimitTurn, lives: Callable[[str], bool]
) -> tuple[set[int], Sequence[Wanting]]:
    """Grant what the turn chooses; the executions that are not its conductor's any more, and who was granted."""
    choice = turn.choose(use(db, turn))
    if choice.short and turn.buries and _bury(db, turn.owner, lives):
        choice = turn.choose(use(db, turn))
    for limits, first in choice.wishes.items():
        if first is None:
            db.execute(_UNWISH, (turn.owner, json.dumps(limits)))
        else:
            db.execute(_WISH, (turn.owner, json.dumps(limits), *first))
    refused: set[int] = set()
    granted: list[Wanting] = []
    for wanting in choice.granted:
        if all(_grant(db, wanting, name) for name, _ in wanting.limits):
            granted.append(wanting)
        else:
            refused.add(wanting.number)
    return refused, granted


def _grant(db: sqlite3.Connection, wanting: Wanting, name: str) -> bool:
    values = (_text(name), _text(wanting.node), wanting.number, wanting.epoch)
    return db.execute(_GRANT, values).rowcount == 1


def free(db: sqlite3.Connection, execution: int, nodes: Collection[str]) -> None:
    db.executemany(_FREE, [(execution, node if node.isascii() else _text(node)) for node in nodes])


def free_all(db: sqlite3.Connection, executions: Iterable[int]) -> None:
    db.executemany(_FREE_ALL, [(execution,) for execution in executions])


def _bury(db: sqlite3.Connection, asker: str, lives: Callable[[str], bool]) -> bool:
    """Whether something was free in truth: who held it, or stood in line for it, is dead."""
    seen = [owner for (owner,) in db.execute(_SEEN).fetchall() if owner != asker]
    dead = [owner for owner in seen if not lives(owner)]
    for owner in dead:
        holding = db.execute(_HOLDING, (owner,)).fetchall()
        db.executemany(_FENCE, holding)
        db.executemany(_FREE_ALL, holding)
        db.execute(_FORGET_WISHES, (owner,))
    return bool(dead)


def _text(name: str) -> str:
    """Half a surrogate pair has no UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
