"""Statements that are said again and again, handed to the client library as they are.

What psycopg does around a statement (a cursor, a search for its places, a type for each value, waiting in steps of its
own) costs a small commit more than the server does. Here a statement is prepared once on its connection, and its values
are texts already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import cast

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

from twingraph.store.postgres.connection import Connection

Values = Mapping[str, str | None]

_PLACE = re.compile(r"%\((\w+)\)s")


class Prepared:
    """Those of one connection; in the transaction that is open there, or each its own."""

    def __init__(self, connection: Connection) -> None:
        self._session = connection.pgconn
        self._known: dict[str, tuple[bytes, tuple[str, ...]]] = {}

    def execute(self, statement: str, values: Values) -> PGresult:
        name, places = self._known.get(statement) or self._prepare(statement)
        given = [values[place] for place in places]
        if "\0" in "".join(filter(None, given)):  # it would end the text there
            raise psycopg.DataError("PostgreSQL keeps no character zero")
        sent = [None if value is None else value.encode() for value in given]
        # It takes None as null; its types do not say so.
        return self._checked(self._session.exec_prepared(name, cast("list[bytes]", sent)), ExecStatus.TUPLES_OK)

    def _prepare(self, statement: str) -> tuple[bytes, tuple[str, ...]]:
        text, places = _numbered(statement)
        name = b"s%d" % len(self._known)
        self._checked(self._session.prepare(name, text), ExecStatus.COMMAND_OK)
        self._known[statement] = name, places
        return name, places

    def _checked(self, result: PGresult, wanted: ExecStatus) -> PGresult:
        if result.status == wanted:
            return result
        if self._session.status == ConnStatus.BAD:
            raise psycopg.OperationalError(result.get_error_message())
        raise error_from_result(result)


@lru_cache(maxsize=512)
def _numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """With places that have numbers, and the names of their values in that order."""
    numbers: dict[str, str] = {}
    text = _PLACE.sub(lambda place: numbers.setdefault(place[1], f"${len(numbers) + 1}"), statement)
    return text.encode(), tuple(numbers)
