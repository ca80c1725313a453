"""The engine's client, where nobody answers."""

from __future__ import annotations

import gc
import socket
from pathlib import Path

import pytest

from twingraph.executors.docker.client import Engine, EngineError

pytestmark = pytest.mark.filterwarnings("error::ResourceWarning")


@pytest.mark.parametrize("how", ["missing", "refused", "hangs up"])
def test_an_engine_that_is_away_leaves_no_socket_open(tmp_path: Path, how: str) -> None:
    place = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        if how != "missing":
            listening.bind(str(place))
        if how == "hangs up":
            listening.listen()
            listening.shutdown(socket.SHUT_RDWR)
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(3):
                with pytest.raises(EngineError) as caught:
                    Engine({"DOCKER_HOST": f"unix://{place}"})
                assert caught.value.kind == "unreachable"
            del caught
            gc.collect()
            left = [found for found in gc.garbage if isinstance(found, socket.socket) and found.fileno() != -1]
            assert left == []
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
