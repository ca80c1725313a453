"""Connections to PostgreSQL that come back: the only place where its refusals become ours."""

from __future__ import annotations

import contextlib
import os
import random
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from twingraph.core.errors import MissingExtraError, StoreError

try:
    import psycopg
    from psycopg import errors
except ImportError as error:  # pragma: no cover - the gate has it
    raise MissingExtraError("a database on PostgreSQL (TWINGRAPH_DATABASE_URL)", "postgres") from error

Result = TypeVar("Result")
Connection = psycopg.Connection[tuple[Any, ...]]

# How long an answer is waited for over lost connections and restarts of the server.
PATIENCE = 60.0
# How long a first connection is tried: who mistyped the address must not wait for long.
FIRST_PATIENCE = 5.0

# A client that is gone must not hold rows or locks for long, whatever became of its network.
_OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "fallback_application_name": "twingraph",
}
_SESSION = """
select set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false),
       set_config('tcp_keepalives_count', '3', false), set_config('idle_in_transaction_session_timeout', '5s', false),
       set_config('client_min_messages', 'warning', false)
"""
# Each session holds this shared; who migrates holds it alone.
IN_USE = "hashtextextended('twingraph ' || current_schema(), 0)"
STAMP = "select version_num from alembic_version"


def connect(url: str) -> Connection:
    """A connection without a transaction: each statement is one."""
    connection: Connection = psycopg.connect(url, autocommit=True, **_OPTIONS)
    try:
        connection.execute(_SESSION)
    except BaseException:
        connection.close()
        raise
    connection.prepare_threshold = 2
    return connection


def first_connection(url: str) -> Connection:
    """A connection to a server that may be starting just now."""
    deadline = time.monotonic() + FIRST_PATIENCE
    while True:
        try:
            return connect(url)
        except psycopg.Error as error:
            if _is_hopeless(error) or time.monotonic() > deadline:
                raise refusal(error, url) from error
            time.sleep(0.1)


class Link:
    """One connection, made when it is first needed and again whenever it was lost. Belongs to one thread at a time."""

    def __init__(self, url: str, *, head: str, ready: Callable[[Connection], None] = lambda connection: None) -> None:
        self.url = url
        self._head = head
        self._ready = ready
        self._open: list[Connection] = []
        self._was_open = False
        # Whoever forgets `close` leaves nothing open. Not at the end of the process, which a forked child has too.
        weakref.finalize(self, _close, self._open, os.getpid()).atexit = False

    def run(self, act: Callable[[Connection, bool], Result]) -> Result:
        """Do it; again after a lost connection, and then `act` is told that the first time may have been done.

        A text that PostgreSQL cannot keep is the caller's to mend: DataError.
        """
        deadline = time.monotonic() + (PATIENCE if self._was_open else FIRST_PATIENCE)
        again, pause = False, 0.01
        while True:
            asked = False
            try:
                connection = self.connection()
                asked = True
                return act(connection, again)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if not self._passes(error) or time.monotonic() > deadline:
                    raise refusal(error, self.url) from error
                again = again or asked
            except psycopg.DataError:
                raise
            except psycopg.Error as error:
                raise refusal(error, self.url) from error
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 0.5)

    def ask(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement that may be repeated without harm."""
        try:
            return self.run(lambda connection, _: connection.execute(statement, values).fetchall())
        except psycopg.DataError as error:
            raise refusal(error, self.url) from error

    def open(self) -> None:
        """Connect now: who cannot is told at once, and who comes while another one makes the tables waits for it."""
        self.run(lambda connection, again: None)

    def connection(self) -> Connection:
        if self._open and not self._open[0].closed:
            return self._open[0]
        self._open.clear()
        made = connect(self.url)
        try:
            self._check(made)
            self._ready(made)
        except BaseException:
            made.close()
            raise
        self._open.append(made)
        self._was_open = True
        return made

    def close(self, *, last: str | None = None) -> None:
        """The server notices the end of a session a moment late: `last` is a statement for what must be over now."""
        if last is not None and self._open and not self._open[0].closed:
            with contextlib.suppress(psycopg.Error):  # its session ends in any case
                self._open[0].execute(last)
        _close(self._open, os.getpid())

    def _check(self, connection: Connection) -> None:
        """Hold the schema as it is, and see that it is ours: it may have been migrated while we were away."""
        if not _one(connection, f"select pg_try_advisory_lock_shared({IN_USE})"):
            raise errors.LockNotAvailable("the database is being migrated")
        found = _one(connection, STAMP)
        if found != self._head:
            raise StoreError(
                f"{place(self.url)} has been brought to schema {found} meanwhile, and this process knows "
                f"{self._head}; end it, and start it again with the same TwinGraph as the others"
            )

    def _passes(self, error: psycopg.Error) -> bool:
        """Whether it may be otherwise in a moment; the connection is given up when it is not known to be whole."""
        if isinstance(error, (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable)):
            return True
        lost = not self._open or self._open[0].broken or self._open[0].closed
        if lost or isinstance(error, (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow)):
            self.close()
            return not _is_hopeless(error)
        return isinstance(error, errors.TooManyConnections)


def _one(connection: Connection, statement: str) -> Any:
    row = connection.execute(statement).fetchone()
    return row[0] if row is not None else None


def _is_hopeless(error: psycopg.Error) -> bool:
    """What no waiting changes: wrong names, wrong passwords."""
    wrong = ("password authentication failed", "does not exist", "no password supplied", "no pg_hba.conf entry")
    return any(words in str(error) for words in wrong)


def _close(connections: list[Connection], process: int) -> None:
    if process == os.getpid():  # the session of a forked child is its parent's
        for connection in connections:
            connection.close()
    connections.clear()


def place(url: str) -> str:
    """The database in words that may be shown: without the password."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the PostgreSQL database"
    return f"the PostgreSQL database {parts.path.lstrip('/') or '(default)'} at {parts.hostname or 'localhost'}{port}"


def refusal(error: psycopg.Error, url: str) -> StoreError:
    """What PostgreSQL said, as an error that names the database and the remedy."""
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return StoreError(f"{place(url)} failed: {said}; {_remedy(error)}")


def _remedy(error: psycopg.Error) -> str:
    if isinstance(error, errors.InsufficientPrivilege):
        return "give its user the right to do that"
    if isinstance(error, (errors.DiskFull, errors.OutOfMemory)):
        return "free some space on the server and resume"
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return "point TWINGRAPH_DATABASE_URL at the primary server: this one only reads"
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return "check that the server runs and that TWINGRAPH_DATABASE_URL is right"
    return "see `twingraph doctor`"
