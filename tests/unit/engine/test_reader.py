"""Lines of logs as they are read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twingraph.core.execution import LogRecord
from twingraph.engine.reader import Reader


def line(seq: int, at: float) -> LogRecord:
    return LogRecord(
        seq=seq, timestamp=datetime.fromtimestamp(at, UTC), level="info", node_id="n", component="c", attempt=1,
        stream="stdout", message=f"{at:g}",
    )  # fmt: skip


class Written:
    """What was written, in the order in which it came."""

    def __init__(self, *times: float) -> None:
        self._lines = [line(seq, at) for seq, at in enumerate(times, 1)]

    def logs(self, execution: str, *, after: int, limit: int, **_: object) -> list[LogRecord]:
        return self._lines[after : after + limit]


def test_a_page_is_in_order_of_time_and_none_is_lost_between_pages() -> None:
    records: Any = Written(3, 1, 2, 2, 6, 4, 5)
    blobs: Any = None
    reader, pages, after = Reader(records, blobs), [], 0
    while page := reader.logs("exec-1", after=after, limit=4):
        pages.append([(record.message, record.seq) for record in page])
        after = max(record.seq for record in page)
    assert pages == [[("1", 2), ("2", 3), ("2", 4), ("3", 1)], [("4", 6), ("5", 7), ("6", 5)]]
