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
from twingraph.store.postgres.prepared import Values
from twingraph.store.postgres.statements import FEW, MOVING, append, append_one
from twingraph.store.writable import without_zero, writable

_MOVING = frozenset(MOVING)


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
    if len(parts) == 1:
        return _of_one(parts[0])
    values: dict[str, str | None] = {
        "numbers": of_numbers(part.number for part in parts),
        "epochs": of_numbers(part.epoch for part in parts),
        "before": of_numbers(part.rows[0].seq - 1 if part.rows else None for part in parts),
        "changes": of_texts(_changes(part) for part in parts),
    }
    named = _add_rows(parts, values)
    named += _add_others(parts, values)
    return append(tuple(named)), values


def _of_one(part: Append) -> tuple[str, Values]:
    rows = part.rows
    moved = sorted(_MOVING.intersection(part.changes)) if part.changes else []
    values: dict[str, str | None] = {"number": str(part.number), "epoch": str(part.epoch)}
    for column in moved:
        values["to_" + column] = _text(part.changes[column])
    named: list[str] = []
    if rows:
        if "seq" not in moved:
            moved.append("seq")
        values["to_seq"] = str(rows[-1].seq)
        values["before"] = str(rows[0].seq - 1)
        if len(rows) <= FEW:
            _write_out(rows, values)
        else:
            named = _add_rows([part], values)
    if part.logs or part.taken or part.freed or part.settled or part.snapshot is not None or _ends(part):
        named += _add_others([part], values)
    few = len(rows) if len(rows) <= FEW else 0
    return append_one(tuple(moved), bool(rows), few, tuple(named)), values


def _write_out(rows: Sequence[Row], values: dict[str, str | None]) -> None:
    for place, row in enumerate(rows):
        values[f"seq_{place}"] = str(row.seq)
        values[f"kind_{place}"] = row.kind
        values[f"at_{place}"] = repr(row.at)
        values[f"body_{place}"] = row.body
        values[f"data_{place}"] = row.data
        values[f"cause_{place}"] = None if row.cause is None else str(row.cause)
        values[f"actor_{place}"] = row.actor


def _text(value: Any) -> str | None:
    """As a column takes it."""
    return None if value is None else str(_kept(value))


def _ends(part: Append) -> bool:
    return part.changes.get("completed_at") is not None


def _add_rows(parts: Sequence[Append], values: dict[str, str | None]) -> list[str]:
    rows = [(part.number, row) for part in parts for row in part.rows]
    if not rows:
        return []
    values["execution"] = of_numbers(number for number, _ in rows)
    values.update(events([row for _, row in rows]))
    return ["rows"]


def _add_others(parts: Sequence[Append], values: dict[str, str | None]) -> list[str]:
    """All but the rows; the names of what there is."""
    ended = [part.number for part in parts if _ends(part)]
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
    there = {
        "logs": logs,
        "snapshots": snapshots,
        "taken": taken,
        "freed": freed,
        "settled": settled,
        "ended": ended,
    }
    return [name for name, found in there.items() if found]


def _changes(part: Append) -> str:
    if not part.rows:
        return record(dict(part.changes)) if part.changes else "{}"
    if not part.changes:
        return f'{{"seq":{part.rows[-1].seq}}}'
    return record({**part.changes, "seq": part.rows[-1].seq})


def events(rows: Sequence[Row]) -> dict[str, str]:
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


def _logs(logs: Sequence[tuple[int, LogRow]]) -> dict[str, str]:
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
