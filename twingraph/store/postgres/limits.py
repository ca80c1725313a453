"""Named limits on PostgreSQL: who holds them, and for what the conductors wait.

Functions of a connection. Those that write are called inside one transaction of the whole store at a time: what they
count stays true until the commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from twingraph.store.base import LimitChoice, LimitTurn, LimitUse, Wanting, Wish
from twingraph.store.postgres.arrays import of_numbers, of_texts
from twingraph.store.postgres.connection import Connection
from twingraph.store.postgres.statements import lives
from twingraph.store.writable import without_zero

ALONE = "select pg_advisory_xact_lock(hashtextextended('twingraph limits ' || current_schema(), 0))"
_HELD = "select name, count(*) from limit_holders where name = any(%s::text[]) group by name"
_WISHES = "select conductor, limits, priority, asked from limit_wishes where conductor <> %s"
_WANTED = "unnest(%(names)s::text[], %(numbers)s::bigint[], %(epochs)s::integer[], %(nodes)s::text[])"
# Their records stand still until the commit: who takes an execution over finds what it holds.
_OURS = f"""
select executions.number from executions join {_WANTED} as row (name, number, epoch, node)
on executions.number = row.number and executions.epoch = row.epoch order by 1 for no key update of executions
"""
_GRANT = f"""
insert into limit_holders (name, execution, node) select distinct name, number, node
from {_WANTED} as row (name, number, epoch, node) where number = any(%(ours)s::bigint[]) on conflict do nothing
"""
_TAKE_BACK = f"""
delete from limit_holders using {_WANTED} as row (name, number, epoch, node)
where limit_holders.execution = row.number and limit_holders.node = row.node and limit_holders.name = row.name
"""
_WISH = """
insert into limit_wishes (conductor, limits, priority, asked) values (%s, %s, %s, %s)
on conflict (conductor, limits) do update set priority = excluded.priority, asked = excluded.asked
"""
_UNWISH = "delete from limit_wishes where conductor = %s and limits = %s"
FREE_ALL = "delete from limit_holders where execution = any(%s::bigint[])"

_DEAD = f"""
select seen.owner from (
    select executions.owner from limit_holders join executions on executions.number = limit_holders.execution
    union
    select conductor from limit_wishes
) as seen where seen.owner <> %s and not {lives("seen.owner")}
"""
_FENCE = """
update executions set owner = null, epoch = epoch + 1
where owner = any(%s::text[]) and number in (select execution from limit_holders) returning number
"""
_FORGET_WISHES = "delete from limit_wishes where conductor = any(%s::text[])"


def use(connection: Connection, turn: LimitTurn) -> LimitUse:
    here = frozenset(turn.names)
    wishes = [wish for wish in _wishes(connection, turn.owner) if any(name in here for name, _ in wish.limits)]
    names = {without_zero(name): name for name in here.union(name for wish in wishes for name, _ in wish.limits)}
    held = connection.execute(_HELD, (list(names),)).fetchall() if names else ()
    return LimitUse(wishes, {names[name]: count for name, count in held})


def _wishes(connection: Connection, asker: str) -> Iterator[Wish]:
    for owner, limits, priority, asked in connection.execute(_WISHES, (asker,)).fetchall():
        yield Wish(owner, tuple((name, most) for name, most in json.loads(limits)), priority, asked)


def give_out(connection: Connection, turn: LimitTurn) -> tuple[set[int], LimitChoice]:
    """Grant what the turn chooses; the executions that are not its conductor's any more, and the choice."""
    choice = turn.choose(use(connection, turn))
    if choice.short and turn.buries and _bury(connection, turn.owner):
        choice = turn.choose(use(connection, turn))
    for limits, first in choice.wishes.items():
        if first is None:
            connection.execute(_UNWISH, (turn.owner, json.dumps(limits)))
        else:
            connection.execute(_WISH, (turn.owner, json.dumps(limits), *first))
    if not choice.granted:
        return set(), choice
    wanted = _wanted(choice.granted)
    ours = {row[0] for row in connection.execute(_OURS, wanted)}
    connection.execute(_GRANT, {**wanted, "ours": of_numbers(ours)})
    return {wanting.number for wanting in choice.granted} - ours, choice


def take_back(connection: Connection, granted: Sequence[Wanting]) -> None:
    """Of a commit of which nobody knows whether it came through, nothing was granted: those still waited."""
    if granted:
        connection.execute(_TAKE_BACK, _wanted(granted))


def _wanted(granted: Sequence[Wanting]) -> dict[str, str]:
    each = [(wanting, name) for wanting in granted for name, _ in wanting.limits]
    return {
        "names": of_texts(without_zero(name) for _, name in each),
        "numbers": of_numbers(wanting.number for wanting, _ in each),
        "epochs": of_numbers(wanting.epoch for wanting, _ in each),
        "nodes": of_texts(without_zero(wanting.node) for wanting, _ in each),
    }


def _bury(connection: Connection, asker: str) -> bool:
    """Whether something was free in truth: who held it, or stood in line for it, is dead."""
    dead = [row[0] for row in connection.execute(_DEAD, (asker,))]
    if dead:
        fenced = [row[0] for row in connection.execute(_FENCE, (dead,))]
        connection.execute(FREE_ALL, (fenced,))
        connection.execute(_FORGET_WISHES, (dead,))
    return bool(dead)
