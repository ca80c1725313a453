"""A run in a notebook: one small HTML view below the cell, drawn anew from a thread while the run goes on.

Colours are in the middle of the scale and the text keeps the page's own, so that both themes can show it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from html import escape
from typing import Any

from twingraph.cli.display.follow import Watched
from twingraph.cli.display.tree import choose, done, error_line, hidden, tally, without_quiet_items
from twingraph.cli.words import between, face, plural, printable, reason_word, seconds, signal_command, waiting_words
from twingraph.core.execution import LogRecord, TreeRow, TreeSnapshot
from twingraph.core.statuses import NODE_OVER, NodeStatus

# Puts a text below the cell, and gives what replaces it there.
Show = Callable[[str], Callable[[str], object]]

TICK_SECONDS = 0.2
_ROWS = 16
_LOG_LINES = 12
_COLOURS = {
    "dim": "#8a8f98",
    "cyan": "#2f8fd0",
    "green": "#2e9e5b",
    "red": "#d9483b",
    "yellow": "#c08a1e",
    "magenta": "#a65bc0",
}


def in_kernel() -> bool:
    """Whether this is a notebook. IPython on a terminal has no kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def show_html(text: str) -> Callable[[str], object]:
    from IPython.display import HTML, display  # type: ignore[import-not-found,unused-ignore]

    shown: Any = display(HTML(text), display_id=True)
    return lambda newer: shown.update(HTML(newer))


class NotebookWatch:
    """`finish` once, from the thread that waited for the run."""

    def __init__(
        self, reader: Watched, execution_id: str, *, show: Show = show_html, tick: float = TICK_SECONDS
    ) -> None:
        self._reader = reader
        self._id = execution_id
        self._tick = tick
        self._logs: list[LogRecord] = []
        self._seq = 0
        self._last = ""
        self._over = threading.Event()
        # Shown on the thread of the cell, so that it stands below it; replaced from anywhere.
        self._replace = show(self._drawn())
        self._thread = threading.Thread(target=self._follow, name="twingraph-display", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        self._over.set()
        self._thread.join()
        self._draw()

    def _follow(self) -> None:
        while not self._over.wait(self._tick):
            self._draw()

    def _draw(self) -> None:
        with suppress(Exception):  # the front end may be gone; the run is none of its business
            text = self._drawn()
            if text != self._last:
                self._last = text
                self._replace(text)

    def _drawn(self) -> str:
        snapshot = self._reader.tree(self._id)
        self._read_logs()
        return page(snapshot, self._logs, datetime.now(UTC))

    def _read_logs(self) -> None:
        while records := self._reader.logs(self._id, after=self._seq):
            self._seq = max(record.seq for record in records)
            self._logs = [*self._logs, *records][-_LOG_LINES:]


def page(snapshot: TreeSnapshot, logs: Sequence[LogRecord], now: datetime) -> str:
    telling = without_quiet_items(snapshot.rows)
    rows = choose(telling, _ROWS)
    more = hidden(telling, rows)
    parts = [_headline(snapshot, now), _bar(snapshot), *(_row(row, now) for row in rows)]
    if more:
        parts.append(_line(f"… {escape(more)}", colour="dim", indent=1))
    awaited = [row.signal for row in rows if row.signal and row.status is NodeStatus.RUNNING]
    for signal in dict.fromkeys(awaited):
        command = escape(signal_command(snapshot.record.id, signal))
        parts.append(_line(f"give it: <code>{command}</code>", colour="dim", indent=1))
    if logs:
        parts.append(_printed(logs))
    if snapshot.record.status in ("failed", "paused", "cancelled"):
        word = "resume" if snapshot.record.status == "paused" else "show"
        parts.append(_line(f"<code>twingraph {word} {escape(snapshot.record.id)}</code>", colour="dim"))
    return f'<div style="font:13px/1.6 system-ui,sans-serif;max-width:60em">{"".join(parts)}</div>'


def _headline(snapshot: TreeSnapshot, now: datetime) -> str:
    record = snapshot.record
    over, total = done(snapshot)
    spent = between(record.started_at, record.completed_at or now)
    return (
        f"<div>{_dot(record.status)} <b>{_text(record.name)}</b> {_coloured(str(record.status), record.status)}"
        f' <span style="color:{_COLOURS["dim"]}">{over:,} of {plural(total, "node")} · {seconds(spent)}</span></div>'
    )


def _bar(snapshot: TreeSnapshot) -> str:
    over, total = done(snapshot)
    part = round(100 * over / total) if total else 0
    colour = _COLOURS[face(snapshot.record.status).colour]
    return (
        '<div style="height:3px;margin:3px 0 5px;background:rgba(138,143,152,.25)">'
        f'<div style="height:3px;width:{part}%;background:{colour}"></div></div>'
    )


def _row(row: TreeRow, now: datetime) -> str:
    words = [f"{_dot(row.status)} {_text(row.id)}"]
    aside = []
    if row.counts:
        over = sum(count for status, count in row.counts.items() if status in NODE_OVER)
        aside.append(f"{over:,}/{sum(row.counts.values()):,} · {tally(row.counts)}")
    if row.started_at is not None:
        aside.append(seconds(between(row.started_at, row.completed_at or now)))
    if row.attempt > 1:
        aside.append(f"attempt {row.attempt}")
    if row.reused:
        aside.append("kept")
    if row.reason and row.error is None:
        aside.append(reason_word(row.reason, row.status))
    if row.status is NodeStatus.RUNNING and (waits := waiting_words(row.kind, row.signal, row.until, now)):
        aside.append(waits)
    if aside:
        words.append(f'<span style="color:{_COLOURS["dim"]}">{_text(" · ".join(aside))}</span>')
    if row.error is not None:
        words.append(_coloured(error_line(row.error.error_type, row.error.message), "failed"))
    return _line(" ".join(words), indent=row.depth + 1)


def _printed(logs: Sequence[LogRecord]) -> str:
    lines = [
        f'<span style="color:{_COLOURS["dim"]}">{_text(one.node_id or "body")} │</span> {_text(one.message.rstrip())}'
        for one in logs
    ]
    style = "margin:5px 0 0;padding:0;background:none;color:inherit;font-size:12px;white-space:pre-wrap"
    return f'<pre style="{style}">{chr(10).join(lines)}</pre>'


def _line(inside: str, *, colour: str = "", indent: int = 0) -> str:
    style = f"padding-left:{indent * 1.2:g}em" + (f";color:{_COLOURS[colour]}" if colour else "")
    return f'<div style="{style}">{inside}</div>'


def _dot(status: str) -> str:
    seen = face(status)
    return f'<span style="color:{_COLOURS[seen.colour]}" title="{escape(str(status))}">{seen.icon}</span>'


def _coloured(text: str, status: str) -> str:
    return f'<span style="color:{_COLOURS[face(status).colour]}">{_text(text)}</span>'


def _text(text: str) -> str:
    return escape(printable(text))
