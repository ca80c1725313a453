"""One PostgreSQL for all systems of a run that need one, and a database of its own for each of them.

It is the server of `tools/services`, once more and with its own data, so that what others do on theirs is not charged
to anybody here; unlike theirs it forces what is committed to the disk, as people's do. What it costs is counted with
whoever is measured (see `meter`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import meter
from tools.environments import ROOT
from tools.services.base import ServiceError
from tools.services.postgres import Postgres


class _Durable(Postgres):
    def command(self, port: int) -> list[str]:
        return [*super().command(port), "-c", "fsync=on"]  # the last word about it counts


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    pid: int

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """A new and empty one, until it has been used."""
        from psycopg import connect, sql

        named = sql.Identifier(name)
        with connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(named))
            try:
                yield f"{self.url.rpartition('/')[0]}/{name}"
            finally:
                connection.execute(sql.SQL("drop database {} with (force)").format(named))

    @contextmanager
    def variables(self, name: str, told: str) -> Iterator[Mapping[str, str]]:
        """A database, as the processes of a system are told of it in the variable that they look at."""
        with self.database(f"benchmark_{name.replace('-', '_')}") as url:
            yield {told: url, meter.BESIDE: str(self.pid)}


@contextmanager
def server() -> Iterator[Server]:
    """Started and stopped by processes that end before it: the harness kills whatever it finds below itself."""
    with tempfile.TemporaryDirectory(prefix="benchmark-postgres-") as name:
        folder = Path(name)
        try:
            _carry_out("start", folder)
            service = _Durable(folder)
            url = service.environment(service.port())["TWINGRAPH_DATABASE_URL"]
            yield Server(url, service.pid())
        finally:
            _carry_out("stop", folder)


def _carry_out(word: str, folder: Path) -> None:
    """Nobody's child: the harness may be one that orphans come back to."""
    command = [sys.executable, "-m", "benchmarks.databases", word, str(folder)]
    with meter.orphans_go_elsewhere():
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ}, check=False
        )
    if done.returncode:
        raise ServiceError(f"PostgreSQL for the benchmarks: {done.stderr.decode(errors='replace')[-500:]}")


def _main(word: str, folder: str) -> None:
    service = _Durable(Path(folder))
    if word == "start":
        service.start()
    else:
        service.stop()
        service.forget()


if __name__ == "__main__":
    _main(*sys.argv[1:])
