"""How statuses, times, sizes and values are said: one icon, one word and one colour each, everywhere."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from twingraph.core.execution import ExecutionRecord
from twingraph.core.recordclass import recordclass
from twingraph.core.records import Changes


@recordclass(kw_only=False)
class Face:
    """A status as people see it. `plain` stands in where the terminal has no Unicode."""

    icon: str
    plain: str
    colour: str


_FACES = {
    "pending": Face("·", ".", "dim"),
    "queued": Face("◌", "o", "dim"),
    "running": Face("●", "*", "cyan"),
    "retrying": Face("↻", "~", "yellow"),
    "paused": Face("‖", "=", "yellow"),
    "completed": Face("✓", "+", "green"),
    "failed": Face("✗", "x", "red"),
    "skipped": Face("○", "-", "dim"),
    "cancelled": Face("⊘", "/", "magenta"),
    # An attempt can also end in these; they read as failures.
    "crashed": Face("✗", "x", "red"),
    "lost": Face("✗", "x", "yellow"),
    "timeout": Face("✗", "x", "red"),
}


def face(status: str) -> Face:
    return _FACES[str(status)]


def status_word(record: ExecutionRecord) -> str:
    """The status with what people need to know beside it."""
    if record.status in ("running", "pending") and record.owner == "gone":
        return f"{record.status} (its process is gone)"
    return f"{record.status} ({record.reason})" if record.reason else str(record.status)


# What people call a kind of node; `core.plan.NodeKind` names them for programs.
_KINDS = {
    "task": "component",
    "scope": "workflow",
    "side_effect": "side effect",
    "detached": "pipeline of its own",
    "handler": "error handler",
}
_FEW_NAMES = 3  # are told of a list
_REASONS = {
    "upstream": "it needs what failed",
    "branch": "the other way was taken",
    "given": "given, not run",
}


def kind_word(kind: str, *, called: bool = False) -> str:
    """`called`: by the body of a pipeline, where what opens a scope is a pipeline."""
    return "pipeline" if kind == "scope" and called else _KINDS.get(kind, kind)


def component_word(component: str, kind: str, *, called: bool = False) -> str:
    """The component of a node; what has none is named by its kind."""
    return kind_word(kind, called=called) if component == kind else component


def component_and_kind(component: str, kind: str, *, called: bool = False) -> str:
    """'clean', 'region (pipeline)', 'write_note (side effect)', 'sleep'."""
    word = kind_word(kind, called=called)
    return component if kind in ("task", "handler") or component in (kind, word) else f"{component} ({word})"


def reason_word(reason: str | None, status: str = "") -> str:
    """Why a node was skipped, or what it stands for."""
    if reason is None:
        return ""
    if reason.startswith("exec-"):
        return f"{'runs' if status == 'running' else 'ran'} as {reason}"
    return _REASONS.get(reason, reason)


def count(number: int) -> int:
    """A number of rows that a database can be told; more than that, there never are."""
    return min(number, 2**31 - 1)


def changes_words(changes: Changes | None) -> str:
    """What a replay does."""
    if changes is None:
        return "what had finished is kept"
    parts = []
    if changes.alone is not None:
        parts.append(f"{changes.alone} alone")
    elif changes.everything:
        parts.append("all of it")
    elif changes.anew:
        parts.append(f"from {_few(changes.anew)} on")
    if changes.given:
        parts.append(f"with another outcome of {_few([one.node for one in changes.given])}")
    if changes.inputs:
        parts.append(f"with {'another input' if len(changes.inputs) == 1 else 'other inputs'} {_few(changes.inputs)}")
    return ", ".join(parts) or "with other inputs"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW_NAMES:,} more" if len(names) > _FEW_NAMES else ""
    return ", ".join(names[:_FEW_NAMES]) + more


def moment_of_day(moment: datetime, now: datetime) -> str:
    """'16:00:00' today, '2026-02-03 16:00' on another day; where the reader is."""
    there = moment.astimezone()
    return there.strftime("%H:%M:%S" if there.date() == now.astimezone().date() else "%Y-%m-%d %H:%M")


def waiting_words(kind: str, signal: str | None, until: datetime | None, now: datetime) -> str:
    """What a node that waits is waiting for; '' when it is no such node."""
    if kind == "signal" and signal is not None:
        limit = f" until {moment_of_day(until, now)}" if until is not None else ""
        return f"waits for signal {signal}{limit}"
    return f"wakes at {moment_of_day(until, now)}" if kind == "sleep" and until is not None else ""


def quoted(word: str) -> str:
    """As a shell takes it: `squares[3]` is a pattern to some shells."""
    if word.replace("_", "").replace("-", "").replace(".", "").isalnum() and word.isascii():
        return word
    return "'" + word.replace("'", "'\\''") + "'"


def signal_command(execution: str, signal: str) -> str:
    return f"twingraph signal {execution} {quoted(signal)}"


def stopped(record: ExecutionRecord) -> bool:
    """Whether it stands still and only a `resume` moves it."""
    return record.status == "paused" or (record.status in ("running", "pending") and record.owner == "gone")


def seconds(value: float | None) -> str:
    """A duration that fits in six columns."""
    if value is None:
        return "-"
    if value < 0:
        value = 0.0
    if value < 0.9995:
        return f"{round(value * 1000)}ms"
    if value < 59.95:
        return f"{value:.1f}s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()


def ago(moment: datetime, now: datetime) -> str:
    passed = (now - moment).total_seconds()
    if passed >= 86400:
        return f"{int(passed // 86400)}d ago"
    return "just now" if passed < 1 else f"{seconds(float(int(passed)) if passed < 60 else passed)} ago"


def clock(moment: datetime) -> str:
    """The time of day where the reader is."""
    return moment.astimezone().strftime("%H:%M:%S")


def moment_text(moment: datetime | None) -> str:
    return "-" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: int) -> str:
    """Decimal units, as everywhere else in the product."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{int(value)}B" if unit == "B" else f"{value:.1f}{unit}"
        value /= 1000
    return f"{value:.1f}TB"


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def value_text(value: Any, *, indent: int | None = None) -> str:
    """A decoded value as JSON text; what JSON has no form for, as Python shows it."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=repr)


def preview(value: Any, width: int) -> str:
    """One line of a value."""
    return cut(value_text(value), width)


def from_here(text: str) -> str:
    """A text with the paths in it that lie below the working directory as one would type them."""
    here = os.path.join(os.getcwd(), "")
    return text if here == os.sep else text.replace(here, "")


def cut(text: str, width: int) -> str:
    """One line, at most `width` columns; wide characters count two."""
    line = printable(text.replace("\n", "⏎ ")) if "\n" in text else printable(text)
    if columns(line) <= width:
        return line
    kept, used = [], 0
    for character in line:
        wide = columns(character)
        if used + wide > max(width - 1, 0):
            break
        kept.append(character)
        used += wide
    return "".join(kept) + "…"


def columns(text: str) -> int:
    """Columns that a terminal gives to a text."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(c) or unicodedata.category(c) == "Cf"
        else 2
        if unicodedata.east_asian_width(c) in "WF"
        else 1
        for c in text
    )


def pad(text: str, width: int) -> str:
    return text + " " * max(width - columns(text), 0)


def printable(text: str) -> str:
    """Without control characters: what user code says must not move the cursor or colour the screen."""
    if text.isprintable():
        return text
    return "".join(
        c
        if c.isprintable() or c == "\n"
        else "    "
        if c == "\t"
        else f"\\x{ord(c):02x}"
        if ord(c) < 256
        else f"\\u{ord(c):04x}"
        for c in text
    )
