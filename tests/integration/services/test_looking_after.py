"""How services are looked after, shown with one that is a small script."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.services.base import Service, ServiceError
from tools.services.catalog import services
from tools.services.places import cache, port_of

SERVER = """
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


class Page(Service):
    name = "page"
    server = SERVER

    def installed(self) -> bool:
        return (self.folder / "here").exists()

    def fetch(self) -> None:
        (self.folder / "here").touch()

    def prepare(self) -> None:
        self.data.mkdir(exist_ok=True)

    def command(self, port: int) -> list[str]:
        return [sys.executable, "-c", self.server, str(port)]

    def answers(self, port: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2):
                return True
        except OSError:
            return False

    def environment(self, port: int) -> dict[str, str]:
        return {"PAGE_PORT": str(port)}


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setenv("TWINGRAPH_CACHE", str(tmp_path))
    service = Page()
    yield service
    service.stop()


def test_it_is_installed_started_and_answers(page: Page) -> None:
    assert page.standing().state == "missing"
    page.start()
    assert page.standing().state == "running"
    assert page.answers(page.port())


def test_a_second_start_changes_nothing(page: Page) -> None:
    page.start()
    first = page.pid()
    page.start()
    assert page.pid() == first


def test_it_stops_and_comes_back_on_its_port(page: Page) -> None:
    page.start()
    port = page.port()
    page.stop()
    assert page.standing().state == "installed"
    assert not page.answers(port)
    page.start()
    assert page.port() == port


def test_one_that_was_killed_is_known_to_be_gone(page: Page) -> None:
    page.start()
    os.kill(page.pid(), signal.SIGKILL)
    while page.running():
        pass
    page.start()
    assert page.answers(page.port())


def test_a_reset_forgets_the_data(page: Page) -> None:
    page.start()
    (page.data / "kept").touch()
    page.reset()
    assert page.running()
    assert not (page.data / "kept").exists()


def test_one_that_ends_at_once_tells_its_last_words(page: Page) -> None:
    page.server = "raise SystemExit('the disk is made of cheese')"
    with pytest.raises(ServiceError, match="made of cheese"):
        page.start()


def test_a_port_that_somebody_took_meanwhile_is_left_to_them(page: Page) -> None:
    page.start()
    other = page.folder.parent / "other"
    other.mkdir()
    (other / "port").write_text(str(page.port()))
    assert port_of(other) != page.port()


def test_an_unknown_service_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ServiceError, match="there are docker, postgres, rabbitmq, redis, s3"):
        services(["s4"])


def test_everything_lies_in_the_cache_that_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TWINGRAPH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache() == tmp_path / "twingraph"
    monkeypatch.setenv("TWINGRAPH_CACHE", str(tmp_path / "mine"))
    assert all(service.folder.is_relative_to(tmp_path / "mine") for service in services([]))
