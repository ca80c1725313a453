"""A fresh database for each test: a schema of its own on the service that tests use."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from twingraph.store.postgres.connection import connect


@contextmanager
def fresh_schema(server: str) -> Iterator[str]:
    """The URL by which everything is in a new schema, which is gone afterwards."""
    name = "test_" + secrets.token_hex(6)
    with connect(server) as connection:
        connection.execute(f"create schema {name}")
    try:
        yield in_schema(server, name)
    finally:
        with connect(server) as connection:
            connection.execute(f"drop schema {name} cascade")


def in_schema(server: str, name: str) -> str:
    return f"{server}?options=-csearch_path%3D{name}"
