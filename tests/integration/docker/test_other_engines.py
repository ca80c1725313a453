"""An engine that is reached over the network, and images that come from a registry."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support.docker import IMAGE, Engine, Runs, only_with_docker
from twingraph import component
from twingraph.executors.docker.client import Engine as DockerClient

pytestmark = [only_with_docker, pytest.mark.timeout(120)]


@component
def sizes(data: bytes) -> dict[str, Any]:
    return {"given": len(data), "back": data * 2}


@pytest.fixture
def address(docker_engine: Engine) -> Iterator[str]:
    """The engine's socket, by TCP on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, docker_engine.socket), daemon=True).start()
        yield f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, place: str) -> None:
    with suppress(OSError):
        while True:
            near = listening.accept()[0]
            far = socket.socket(socket.AF_UNIX)
            far.connect(place)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    one.close()


@pytest.mark.parametrize("warm", [False, True])
def test_an_engine_elsewhere(runs: Runs, address: str, warm: bool) -> None:
    config = {"host": address, **({"warm": True} if warm else {})}
    handle = runs.begin(sizes, {"data": b"x" * 300_000}, platform_config=config)
    node = runs.node(handle)
    assert node.status == "completed", node.error
    assert {output.name: output.size > 300_000 for output in node.outputs} == {"given": False, "back": True}


class Registry(ThreadingHTTPServer):
    """As much of a registry as a pull needs: one image, for one user."""

    def __init__(self, image: str, layer: bytes, config: bytes, login: str) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.login = "Basic " + base64.b64encode(login.encode()).decode()
        self.pulls = 0
        self.blobs = {_digest(data): data for data in (layer, config)}
        kinds = ("application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar")
        parts = [
            {"mediaType": kind, "size": len(data), "digest": _digest(data)}
            for kind, data in zip(kinds, (config, layer), strict=True)
        ]
        self.manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": _MANIFEST, "config": parts[0], "layers": parts[1:]}
        ).encode()
        self.image = f"127.0.0.1:{self.server_port}/{image}"


_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class _Asked(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != self.server.login:
            self._give(401, b"{}", "application/json", ("WWW-Authenticate", 'Basic realm="here"'))
        elif "/manifests/" in self.path:
            self.server.pulls += 1
            digest = _digest(self.server.manifest)
            self._give(200, self.server.manifest, _MANIFEST, ("Docker-Content-Digest", digest))
        elif "/blobs/" in self.path:
            self._give(200, self.server.blobs[self.path.rpartition("/")[2]], "application/octet-stream")
        else:
            self._give(200, b"{}", "application/json")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _give(self, status: int, body: bytes, kind: str, *more: tuple[str, str]) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **dict(more)}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def registry(docker_engine: Engine, tmp_path: Path) -> Iterator[Registry]:
    """It gives the image of these tests, as one that nobody has under this name."""
    saved = tmp_path / "saved.tar"
    with saved.open("wb") as file:
        subprocess.run(["/usr/bin/docker", "save", IMAGE], stdout=file, check=True, env=docker_engine.surroundings)
    with tarfile.open(saved) as archive:
        (described,) = json.load(archive.extractfile("manifest.json") or io.BytesIO())
        (layer,) = described["Layers"]
        data, config = [(archive.extractfile(name) or io.BytesIO()).read() for name in (layer, described["Config"])]
    with Registry("mine/image", data, config, "me:s3cr3t-word") as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield served
        served.shutdown()
        with suppress(AssertionError):
            docker_engine.ask("rmi", "--force", served.image + ":1")


def test_an_image_from_a_registry_that_wants_to_know_who_asks(
    runs: Runs, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINGRAPH_SECRET_WORD", "s3cr3t-word")
    image = registry.image + ":1"
    refused = runs.run(sizes, {"data": b"x"}, docker_image=image)
    assert refused.error is not None
    assert (refused.error.code, registry.pulls) == ("code_unavailable", 0)
    login = {"credentials": {"username": "me", "password": "${secret:WORD}"}}
    assert runs.value(sizes, {"data": b"x"}, docker_image=image, platform_config=login)["given"] == 1
    pulled = registry.pulls
    assert pulled > 0
    assert runs.value(sizes, {"data": b"x"}, docker_image=image, platform_config=login)["given"] == 1
    assert registry.pulls == pulled  # it is there
    always = {**login, "pull_policy": "always", "warm": True}
    assert runs.value(sizes, {"data": b"x"}, docker_image=image, platform_config=always)["given"] == 1
    assert registry.pulls > pulled


class _Changing(dict[str, str]):
    """An environment that another thread changes whenever somebody looks through it."""

    def _changed(self) -> NoReturn:
        raise KeyError("A_NAME_THAT_WENT")

    __iter__ = keys = items = values = _changed


def test_an_environment_that_changes_meanwhile_disturbs_no_call(
    docker_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body may set names of it at any moment, while threads of ours speak with the engine."""
    where = {"DOCKER_HOST": f"unix://{docker_engine.socket}"}
    monkeypatch.setattr(os, "environ", _Changing(os.environ))
    assert DockerClient(_Changing(where)).find({"twingraph.home": "nobody"}) == []


def test_an_engine_that_cannot_be_reached_is_a_loss_three_times(runs: Runs) -> None:
    with socket.socket() as one:  # nobody listens there, and nobody else can begin to
        one.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{one.getsockname()[1]}"
        node = runs.node(runs.begin(sizes, {"data": b"x"}, platform_config={"host": address}))
    assert node.error is not None
    assert node.error.code == "worker_lost"
    assert node.error.message.startswith(f"the Docker engine at {address} does not answer: Connection refused; ")
    assert node.error.message.endswith("it was tried 3 times in a row")
