"""What the journal says to PostgreSQL. Each statement is a transaction of its own and one round trip.

No transaction is ever left open while its client thinks: a conductor that is stopped in the middle holds no rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from twingraph.core.events import SCHEMA_VERSION

# How long a conductor is taken for alive after its last sign, and how often it gives one.
LEASE_SECONDS = 5.0
BEAT_SECONDS = 1.0


def lives(owner: str) -> str:
    """Whether this conductor is alive, by the server's clock. After a start of the server everybody is, until those
    that live have had the time to say so."""
    return (
        f"exists (select 1 from conductors where conductors.name = {owner} and (until > clock_timestamp() "
        f"or clock_timestamp() < pg_postmaster_start_time() + interval '{LEASE_SECONDS} s'))"
    )


# Who listens hears that something came that he may wait for, and looks whether it is for him.
CHANNEL = "'twingraph ' || current_schema()"

# A conductor finds everything by its key and asks the same all day: it is planned once, and never for a table that was
# small when it was planned.
QUICK = """
select set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false),
       set_config('jit', 'off', false)
"""

# Columns of an execution's record that its events move on.
MOVING = (
    "status", "reason", "started_at", "completed_at", "total", "completed", "running", "failed", "skipped", "error",
    "owner", "seq",
)  # fmt: skip
FIRST = (
    "id", "workflow_id", "name", "created_at", "origin", "target", "code_version", "replay_of", "version", *MOVING,
)  # fmt: skip


def _listed(columns: Iterable[str], of: str = "") -> str:
    return ", ".join(of + column for column in columns)


# A part that brings rows comes right after the last row that is there: what was lost or written twice is never hidden.
_MOVE = f"""
with held as (
    update executions set ({_listed(MOVING)}) = (
        select {_listed(MOVING, "r.")} from jsonb_populate_record(executions, part.changes::jsonb) as r
    )
    from unnest(%(numbers)s::bigint[], %(epochs)s::integer[], %(before)s::bigint[], %(changes)s::text[])
        as part (number, epoch, before, changes)
    where executions.number = part.number and executions.epoch = part.epoch
        and (part.before is null or executions.seq = part.before)
    returning executions.number
)"""
_EVENTS = f"""events_written as (
    insert into events
    select row.execution, row.seq, row.kind, row.at, row.body, row.data, row.cause, row.actor, {SCHEMA_VERSION}
    from unnest(%(execution)s::bigint[], %(seq)s::bigint[], %(kind)s::text[], %(at)s::float8[], %(body)s::text[],
                %(data)s::text[], %(cause)s::bigint[], %(actor)s::text[])
        as row (execution, seq, kind, at, body, data, cause, actor)
    where row.execution in (select number from held)
)"""
_ROW = (
    "(%(seq_#)s::bigint, %(kind_#)s::text, %(at_#)s::float8, %(body_#)s::text, %(data_#)s::text, %(cause_#)s::bigint, "
    "%(actor_#)s::text)"
)
_LOGS = """logs_written as (
    insert into logs (execution, at, level, node, component, attempt, stream, message)
    select row.execution, row.at, row.level, row.node, row.component, row.attempt, row.stream, row.message
    from unnest(%(log_execution)s::bigint[], %(log_at)s::float8[], %(log_level)s::integer[], %(log_node)s::text[],
                %(log_component)s::text[], %(log_attempt)s::integer[], %(log_stream)s::text[], %(log_message)s::text[])
        with ordinality as row (execution, at, level, node, component, attempt, stream, message, place)
    where row.execution in (select number from held) order by row.place
)"""
_SNAPSHOTS = f"""snapshots_written as (
    insert into snapshots
    select row.execution, row.seq, row.state, {SCHEMA_VERSION}
    from unnest(%(snapshot_execution)s::bigint[], %(snapshot_seq)s::bigint[], %(snapshot)s::text[])
        as row (execution, seq, state)
    where row.execution in (select number from held)
    on conflict (execution) do update set seq = excluded.seq, state = excluded.state, version = excluded.version
)"""
_TAKEN = """answered as (
    delete from inbox where id = any(%(taken)s::bigint[]) and execution in (select number from held)
)"""
_ENDED = """inbox_cleared as (
    delete from inbox where execution = any(%(ended)s::bigint[]) and execution in (select number from held)
), snapshots_cleared as (
    delete from snapshots where execution = any(%(ended)s::bigint[]) and execution in (select number from held)
)"""


_FREED = """freed as (
    delete from limit_holders
    using unnest(%(freed_execution)s::bigint[], %(freed_node)s::text[]) as row (execution, node)
    where limit_holders.execution = row.execution and limit_holders.node = row.node
        and row.execution in (select number from held)
)"""
# What was begun later stays: a refresh is not undone by whoever was at it before.
_SETTLED = """kept as (
    insert into cache (scope, work, execution, node, seq, begun_at, done_at, component, parts)
    select row.* from unnest(
        %(kept_scope)s::text[], %(kept_work)s::text[], %(kept_execution)s::bigint[], %(kept_node)s::text[],
        %(kept_seq)s::bigint[], %(kept_begun)s::float8[], %(kept_done)s::float8[], %(kept_component)s::text[],
        %(kept_parts)s::text[]
    ) as row (scope, work, execution, node, seq, begun_at, done_at, component, parts)
    where row.execution in (select number from held)
    on conflict (scope, work) do update
    set execution = excluded.execution, node = excluded.node, seq = excluded.seq, begun_at = excluded.begun_at,
        done_at = excluded.done_at, component = excluded.component, parts = excluded.parts
    where excluded.begun_at >= cache.begun_at
), unclaimed as (
    delete from cache_claims using unnest(
        %(free_scope)s::text[], %(free_work)s::text[], %(free_execution)s::bigint[], %(free_node)s::text[]
    ) as row (scope, work, execution, node)
    where cache_claims.scope = row.scope and cache_claims.work = row.work
        and cache_claims.execution = row.execution and cache_claims.node = row.node
        and row.execution in (select number from held)
)"""
_PARTS = {
    "rows": _EVENTS,
    "logs": _LOGS,
    "snapshots": _SNAPSHOTS,
    "taken": _TAKEN,
    "freed": _FREED,
    "settled": _SETTLED,
    "ended": _ENDED,
}


@cache
def append(parts: tuple[str, ...]) -> str:
    """One batch, with those parts that it has. Other conductors may wait for what is freed or settled."""
    return _joined(_MOVE, [_PARTS[part] for part in parts], parts)


# So many events of one execution are written out; more come as arrays.
FEW = 4


@cache
def append_one(moved: tuple[str, ...], follows: bool, few: int, parts: tuple[str, ...]) -> str:
    """The same of a single execution, which most commits are: the columns that its events move on, whether rows come
    after one that must be there, and how many rows, where they are few."""
    columns = ", ".join(f"{column} = %(to_{column})s" for column in moved) or "seq = seq"
    after = " and seq = %(before)s" if follows else ""
    move = (
        f"with held as (update executions set {columns} "
        f"where number = %(number)s and epoch = %(epoch)s{after} returning number)"
    )
    return _joined(move, [*([_few(few)] if few else []), *(_PARTS[part] for part in parts)], parts)


def _few(count: int) -> str:
    rows = ", ".join(_ROW.replace("#", str(place)) for place in range(count))
    return (
        f"events_written as (insert into events select held.number, row.*, {SCHEMA_VERSION} from held, (values {rows}) "
        "as row)"
    )


def _joined(move: str, written: Iterable[str], parts: Iterable[str]) -> str:
    tell = f", pg_notify({CHANNEL}, '')" if {"freed", "settled"}.intersection(parts) else ""
    return ", ".join([move, *written]) + f" select number{tell} from held"


# What is used again is not to be pruned: see `store.prune`.
_YOUNG_AGAIN = """
on conflict (version) do update set created_at = excluded.created_at where excluded.created_at > code.created_at + 3600
"""
# Of a beginning that needs another execution, and of pruning, only one at a time.
REPLAYS_ALONE = "select pg_advisory_xact_lock(hashtextextended('twingraph replays ' || current_schema(), 0))"
IS_THERE = "select 1 from executions where id = %s"
CREATE = f"""
with made as (
    insert into executions ({_listed(FIRST)})
    select {_listed(FIRST, "r.")} from jsonb_populate_record(null::executions, %(record)s::jsonb) as r
    returning number
), events_written as (
    insert into events
    select made.number, row.seq, row.kind, row.at, row.body, row.data, row.cause, row.actor, {SCHEMA_VERSION}
    from made, unnest(%(seq)s::bigint[], %(kind)s::text[], %(at)s::float8[], %(body)s::text[], %(data)s::text[],
                      %(cause)s::bigint[], %(actor)s::text[]) as row (seq, kind, at, body, data, cause, actor)
), code_kept as (
    insert into code select %(code_version)s::text, %(code_body)s::text, %(created_at)s::float8
    where %(code_body)s::text is not null
    {_YOUNG_AGAIN}
)
select number from made
"""
MADE = "select number from executions where id = %s and owner = %s and created_at = %s and epoch = 1"
STANDS = "select number, epoch, seq from executions where number = any(%s::bigint[])"
LOGGED = """
select 1 from logs where execution = %s and at = %s and level = %s and message = %s limit 1
"""

_FREE = f"(owner is null or owner = %(owner)s or not {lives('executions.owner')})"
CLAIM = f"""
update executions set owner = %(owner)s, epoch = epoch + 1 where id = %(id)s and {_FREE}
returning number, epoch, seq, code_version, replay_of, workflow_id
"""
RELEASE = """
with released as (
    update executions set owner = null where number = any(%s::bigint[]) and owner = %s returning number
), freed as (
    delete from limit_holders where execution in (select number from released)
)
select number from released
"""
STANDING = f"""
select status, owner is not null and owner <> %(owner)s and {lives("executions.owner")}
from executions where id = %(id)s
"""
ORPHANS = f"""
select id from executions where completed_at is null and status <> 'paused' and origin = any(%(origins)s)
    and (owner is null or owner <> %(asker)s and not {lives("executions.owner")})
order by number limit %(limit)s
"""

ROWS_AT_ONCE = 500
PAGE = f"""
select seq, kind, at, body, null, cause, actor from events
where execution = %s and seq > %s order by seq limit {ROWS_AT_ONCE}
"""
SNAPSHOT = "select seq, state from snapshots where execution = %s"
DATA = "select data from events where execution = %s and seq = %s"
DATA_OF = "select seq, data from events where execution = %s and seq = any(%s::bigint[]) and data is not null"
VALUES_OF = """
select seq, data from events where execution = (select number from executions where id = %s)
and seq = any(%s::bigint[]) and data is not null
"""
LINES_OF = """
select seq, at, stream, message from logs
where execution = %s and seq > %s and node = %s and attempt between %s and %s order by seq limit 1000
"""
INBOX = """
select inbox.id, inbox.execution, inbox.kind, inbox.body from inbox
join executions on executions.number = inbox.execution where executions.owner = %s order by inbox.id
"""
POST = f"""
with posted as (
    insert into inbox (execution, kind, body, at)
    select number, %(kind)s, %(body)s, extract(epoch from clock_timestamp()) from executions
    where id = %(id)s and completed_at is null
    returning id
)
select pg_notify({CHANNEL}, ''), id from posted
"""
CODE = "select body from code where version = %s"
KEEP_CODE = f"insert into code values (%s, %s, %s) {_YOUNG_AGAIN} returning version"

BEAT = f"""
insert into conductors values (%s, clock_timestamp() + interval '{LEASE_SECONDS} s')
on conflict (name) do update set until = excluded.until returning name
"""
GONE = "delete from conductors where name = %s returning name"
SWEEP = "delete from conductors where until < clock_timestamp() - interval '1 day' returning name"
