"""Which part of the house a function belongs to, for the table of where a node's microseconds go."""

from __future__ import annotations

from pathlib import Path

SYSTEM = "system calls: pipes, wake-ups, files"
LOOP = "event loop, threads, locks"
OTHER = "other Python"
SERVER = "PostgreSQL itself"

# The first that fits what stands behind `twingraph/` in the path.
_HOUSE = (
    ("engine/kernel/", "kernel: what follows from an event"),
    ("engine/", "conductor: turns, commands, values"),
    ("store/", "journal: rows and statements"),
    ("dispatch/", "pool: lanes, messages, processes"),
    ("executors/", "worker: around the function"),
    ("core/codec", "values as text"),
    ("sdk/body/", "body: calls, handles, history"),
    ("sdk/", "sdk: what authors import"),
    ("wiring/", "sdk: what authors import"),
    ("core/compile", "compiling the drawn workflow"),
    ("core/", "core: events, plans, checks"),
)
_LIBRARY = (
    ("json/", "values as text"),
    ("psycopg", "journal: rows and statements"),
    ("asyncio/", LOOP),
    ("selectors.py", LOOP),
    ("threading.py", LOOP),
)
# Functions without a file of their own that are worth a name; the others belong to whoever calls them.
_BUILT_IN = (
    ("sqlite3", "SQLite itself"), ("epoll", SYSTEM), ("'posix.", SYSTEM), ("posix.", SYSTEM), ("socket", SYSTEM),
    ("lock", LOOP),
)  # fmt: skip

ORDER = tuple(dict.fromkeys([*(area for _, area in _HOUSE), "SQLite itself", SERVER, LOOP, SYSTEM, OTHER]))


def of_file(name: str) -> str:
    path = Path(name).as_posix()
    _, found, inside = path.rpartition("/twingraph/")
    if found:
        return next((area for prefix, area in _HOUSE if inside.startswith(prefix)), OTHER)
    return next((area for part, area in _LIBRARY if part in path), OTHER)


def of_built_in(name: str, caller: str) -> str:
    return next((area for part, area in _BUILT_IN if part in name), caller)
