"""`doctor` about a database and a broker: what is well, what is broken, and what to do."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.double import MemoryBackend, make_console, written
from twingraph.cli.checks import check_docker
from twingraph.cli.entry import main
from twingraph.core.errors import MissingExtraError, StoreError
from twingraph.dispatch.broker import BrokerHealth
from twingraph.store.postgres.health import Health

WELL = Health(
    place="the PostgreSQL database flows at db:5432",
    server="16.4",
    too_old=False,
    schema="0005",
    schema_current=True,
    schema_known=True,
    writes=True,
    clock_ahead=0.01,
    alive=2,
    dead=0,
    left=0,
)


def doctor(
    home: Path,
    database: Health | Exception | None,
    neighbours: str | None = None,
    broker: BrokerHealth | Exception | None = None,
) -> tuple[int, dict[str, Any]]:
    console = make_console()
    backend = MemoryBackend(database=database, neighbours=neighbours, broker=broker)
    code = main(("doctor", "--home", str(home), "--json"), backend=backend, console=console)
    return code, {check["name"]: check for check in json.loads(written(console.out))["checks"]}


def test_without_a_database_none_is_spoken_of(tmp_path: Path) -> None:
    code, checks = doctor(tmp_path, None)
    assert code == 0
    assert not [name for name in checks if name.startswith("database")]


def test_a_database_that_is_well_is_told_with_version_schema_clock_and_leases(tmp_path: Path) -> None:
    code, checks = doctor(tmp_path, WELL)
    assert code == 0
    assert checks["database"]["message"] == "the PostgreSQL database flows at db:5432 (PostgreSQL 16.4, schema 0005)"
    assert checks["database clock"]["message"] == "agrees with this machine's"
    assert checks["database leases"]["message"] == "2 processes are alive"


def test_one_without_tables_says_who_makes_them(tmp_path: Path) -> None:
    _, checks = doctor(tmp_path, WELL._replace(schema=None))
    assert "no tables yet, the first run makes them" in checks["database"]["message"]
    assert "database leases" not in checks


@pytest.mark.parametrize(
    ("database", "said"),
    [
        (StoreError("the PostgreSQL database x at y failed: no route"), "failed: no route"),
        (WELL._replace(too_old=True, server="12.1"), "PostgreSQL 12.1 is older than 14"),
        (WELL._replace(schema="0099", schema_known=False), "its schema 0099 is of a newer TwinGraph"),
        (WELL._replace(writes=False), "it only reads"),
    ],
)
def test_one_that_cannot_be_used_is_broken(tmp_path: Path, database: Health | Exception, said: str) -> None:
    code, checks = doctor(tmp_path, database)
    assert (code, checks["database"]["state"]) == (1, "broken")
    assert said in checks["database"]["message"]
    assert "executions" not in checks  # said once is enough


@pytest.mark.parametrize(
    ("found", "name", "said"),
    [
        (WELL._replace(clock_ahead=-90.0), "database clock", "90.0 s behind this machine's"),
        (WELL._replace(clock_ahead=2.5), "database clock", "2.5 s ahead of this machine's"),
        (
            WELL._replace(alive=1, dead=2, left=3),
            "database leases",
            "1 process is alive, 2 gone without a word; 3 executions that nobody carries out",
        ),
    ],
)
def test_what_wants_looking_after_is_a_hint(tmp_path: Path, found: Health, name: str, said: str) -> None:
    code, checks = doctor(tmp_path, found)
    assert (code, checks[name]["state"], checks[name]["message"]) == (0, "hint", said)
    assert checks[name]["remedy"]


def test_values_that_are_kept_beside_anothers_are_a_hint(tmp_path: Path) -> None:
    code, checks = doctor(tmp_path, None, "the home /b keeps its values here too")
    assert (code, checks["blobs: shared"]["state"]) == (0, "hint")


def test_without_a_broker_none_is_spoken_of(tmp_path: Path) -> None:
    assert "broker" not in doctor(tmp_path, None)[1]


def test_a_broker_that_is_well_is_told_with_its_version(tmp_path: Path) -> None:
    code, checks = doctor(tmp_path, None, broker=BrokerHealth("redis://r/0", "Redis 7.0.15"))
    assert (code, checks["broker"]["message"]) == (0, "Redis 7.0.15 at redis://r/0")
    assert "broker: loss" not in checks


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (BrokerHealth("amqp://r//", wrong="Connection refused"), "amqp://r//: Connection refused"),
        (MissingExtraError("a broker", "celery"), "pip install 'twingraph[celery]'"),
    ],
)
def test_a_broker_that_cannot_be_used_is_broken(tmp_path: Path, found: BrokerHealth | Exception, said: str) -> None:
    code, checks = doctor(tmp_path, None, broker=found)
    assert (code, checks["broker"]["state"]) == (1, "broken")
    assert said in checks["broker"]["message"]


def test_a_broker_that_may_lose_messages_is_a_hint(tmp_path: Path) -> None:
    found = BrokerHealth("redis://r/0", "Redis 7", risk="it forgets", remedy="set appendonly to yes")
    code, checks = doctor(tmp_path, None, broker=found)
    assert (code, checks["broker: loss"]["state"]) == (0, "hint")
    assert (checks["broker: loss"]["message"], checks["broker: loss"]["remedy"]) == (
        "it forgets",
        "set appendonly to yes",
    )


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("workers = 'many'", "twingraph.toml: workers: must be a whole number"),
        ("= 3", "twingraph.toml: cannot be read"),
    ],
)
def test_broken_settings_are_one_line_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, wrong: str
) -> None:
    (tmp_path / "twingraph.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    code, checks = doctor(tmp_path, WELL)
    assert code == 1
    assert checks["settings"]["state"] == "broken"
    assert wrong in checks["settings"]["message"]
    assert checks["settings"]["remedy"].startswith("correct it: ")
    assert checks["database"]["state"] == "ok"
    assert main(("executions",), backend=MemoryBackend(), console=make_console()) == 2  # nothing else goes on


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{made.getsockname()[1]}")
        monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
        yield made


@pytest.mark.parametrize(
    ("said", "state"),
    [(b"HTTP/1.1 200 OK\r\n\r\nOK", "ok"), (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "broken"), (b"SSH-2.0\n", "broken")],
)
def test_an_engine_on_a_network_is_asked(listening: socket.socket, said: bytes, state: str) -> None:
    asked: list[bytes] = []

    def answer() -> None:
        link, _ = listening.accept()
        with link:
            asked.append(link.recv(100))
            link.sendall(said)

    thread = threading.Thread(target=answer)
    thread.start()
    found = check_docker()
    thread.join()
    assert asked[0].startswith(b"GET /_ping ")
    assert (found.state, bool(found.remedy)) == (state, state == "broken")


def test_of_an_engine_that_wants_certificates_it_is_seen_that_it_listens(
    monkeypatch: pytest.MonkeyPatch, listening: socket.socket
) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    found = check_docker()
    assert (found.state, "the certificates were not tried" in found.message) == ("ok", True)


@pytest.mark.parametrize(
    ("host", "state"),
    [("tcp://127.0.0.1:1", "broken"), ("tcp://here:many", "broken"), ("ssh://me@there", "hint")],
)
def test_an_engine_that_does_not_answer_or_was_not_tried_does_not_look_well(
    monkeypatch: pytest.MonkeyPatch, host: str, state: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    found = check_docker()
    assert (found.state, bool(found.remedy)) == (state, True)
