"""From what executions gained to the values of one statement. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twingraph.store.base import Append, LogRow, Row
from twingraph.store.levels import LEVELS
from twingraph.store.postgres import cache
from twingraph.store.postgres.arrays import of_numbers, of_texts
from twingraph.store.postgres.statements import append
from twingraph.store.writable import without_zero, writable

Values = dict[str, Any]


def of_one_each(batch: Sequence[Append]) -> list[Append]:
    """At most one part of each execution: a statement moves a record on once. What was to come later comes last."""
    parts: dict[int, Append] = {}
    for part in batch:
        before = parts.get(part.number)
        parts[part.number] = part if before is None or before.epoch != part.epoch else _joined(before, part)
    return list(parts.values())


def _joined(first: Append, second: Append) -> Append:
    newest = second if second.snapshot is not None else first
    return replace(
        first,
        rows=[*first.rows, *second.rows],
        logs=[*first.logs, *second.logs],
        changes={**first.changes, **second.changes},
        snapshot=newest.snapshot,
        snapshot_seq=newest.snapshot_seq,
        taken=[*first.taken, *second.taken],
        freed=[*first.freed, *second.freed],
        settled=[*first.settled, *second.settled],
    )


def clean(part: Append) -> Append:
    """As `writable`; and PostgreSQL keeps no character zero, which only lines of logs can have."""
    part = writable(part)
    return replace(part, logs=[LogRow(*map(_kept, log)) for log in part.logs])


def _kept(value: Any) -> Any:
    return without_zero(value) if isinstance(value, str) else value


def record(changes: dict[str, Any]) -> str:
    return json.dumps({name: _kept(value) for name, value in changes.items()})


def statement(parts: Sequence[Append]) -> tuple[str, Values]:
    """What writes these parts, and its values."""
    ended = [part.number for part in parts if part.changes.get("completed_at") is not None]
    values: Values = {
        "numbers": of_numbers(part.number for part in parts),
        "epochs": of_numbers(part.epoch for part in parts),
        "before": of_numbers(part.rows[0].seq - 1 if part.rows else None for part in parts),
        "changes": of_texts(_changes(part) for part in parts),
    }
    rows = [(part.number, row) for part in parts for row in part.rows]
    if rows:
        values["execution"] = of_numbers(number for number, _ in rows)
        values.update(events([row for _, row in rows]))
    logs = [(part.number, log) for part in parts for log in part.logs]
    if logs:
        values.update(_logs(logs))
    snapshots = [part for part in parts if part.snapshot is not None and part.number not in ended]
    if snapshots:
        values["snapshot_execution"] = of_numbers(part.number for part in snapshots)
        values["snapshot_seq"] = of_numbers(part.snapshot_seq for part in snapshots)
        values["snapshot"] = of_texts(part.snapshot for part in snapshots)
    taken = [message for part in parts if part.number not in ended for message in part.taken]
    if taken:
        values["taken"] = of_numbers(taken)
    freed = [(part.number, node) for part in parts for node in part.freed]
    if freed:
        values["freed_execution"] = of_numbers(number for number, _ in freed)
        values["freed_node"] = of_texts(without_zero(node) for _, node in freed)
    settled = cache.settled(parts)
    values.update(settled)
    if ended:
        values["ended"] = of_numbers(ended)
    has = {
        "rows": rows,
        "logs": logs,
        "snapshots": snapshots,
        "taken": taken,
        "freed": freed,
        "settled": settled,
        "ended": ended,
    }
    text = append([name for name, found in has.items() if found])
    return text, values


def _changes(part: Append) -> str:
    if not part.rows:
        return record(dict(part.changes)) if part.changes else "{}"
    if not part.changes:
        return f'{{"seq":{part.rows[-1].seq}}}'
    return record({**part.changes, "seq": part.rows[-1].seq})


def events(rows: Sequence[Row]) -> Values:
    return {
        "seq": of_numbers([row.seq for row in rows]),
        "kind": of_texts([row.kind for row in rows]),
        "at": of_numbers([row.at for row in rows]),
        "body": of_texts([row.body for row in rows]),
        "data": of_texts([row.data for row in rows]),
        # What is shorter than the rest is null from there on.
        "cause": of_numbers([row.cause for row in rows]) if any(row.cause is not None for row in rows) else "{}",
        "actor": of_texts([row.actor for row in rows]) if any(row.actor is not None for row in rows) else "{}",
    }


def _logs(logs: Sequence[tuple[int, LogRow]]) -> Values:
    return {
        "log_execution": of_numbers([number for number, _ in logs]),
        "log_at": of_numbers([log.at for _, log in logs]),
        "log_level": of_numbers([LEVELS.get(log.level, 20) for _, log in logs]),
        "log_node": of_texts([log.node for _, log in logs]),
        "log_component": of_texts([log.component for _, log in logs]),
        "log_attempt": of_numbers([log.attempt for _, log in logs]),
        "log_stream": of_texts([log.stream for _, log in logs]),
        "log_message": of_texts([log.message for _, log in logs]),
    }
