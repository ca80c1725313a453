"""The engine's client, where nobody answers."""

from __future__ import annotations

import fcntl
import gc
import resource
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from twingraph.executors.docker.client import Attached, Engine, EngineError, Logs

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


def test_a_line_is_looked_at_whatever_its_descriptor_is() -> None:
    """In a process with a thousand others open."""
    near, far = socket.socketpair()
    with near, far:
        high = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 10, 2000)
        with socket.socket(fileno=fcntl.fcntl(near.fileno(), fcntl.F_DUPFD_CLOEXEC, high)) as one:
            line = Attached(one)
            assert [line.is_still] == [True]
            far.sendall(struct.pack(">BxxxL", 1, 3) + b"out" + struct.pack(">BxxxL", 2, 3) + b"er")
            assert [line.is_still] == [False]
            said = iter(line)
            assert next(said) == (b"out", None)
            assert [line.is_still] == [False]  # there is half of a word
            far.sendall(b"r")
            assert next(said) == (None, b"err")
            assert [line.is_still] == [True]
            far.shutdown(socket.SHUT_RDWR)
            assert [line.is_still] == [False]  # nobody is there
            line.close()


def test_a_place_that_speaks_before_it_listens_is_heard_while_it_is_told() -> None:
    """More each way than the engine holds back: neither side may wait for the other to read first."""
    near, far = socket.socketpair()
    word, told = b"w" * 3_000_000, b"t" * 5_000_000
    found: list[bytes] = []

    def place() -> None:
        far.sendall(struct.pack(">BxxxL", 1, len(word)) + word)
        while sum(map(len, found)) < len(told):
            found.append(far.recv(1 << 16))

    with near, far:
        line = Attached(near)
        speaking = threading.Thread(target=place, daemon=True)
        sending = threading.Thread(target=line.send, args=(told,), daemon=True)
        speaking.start()
        sending.start()
        sending.join(20)
        speaking.join(20)
        assert not sending.is_alive()
        assert b"".join(found) == told
        assert next(iter(line)) == (word, None)


def test_a_place_that_ends_while_it_is_told_says_its_last() -> None:
    near, far = socket.socketpair()
    with near:
        line = Attached(near)

        def end() -> None:
            far.recv(1 << 16)
            far.sendall(struct.pack(">BxxxL", 2, 4) + b"last")
            far.close()

        ending = threading.Thread(target=end)
        ending.start()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            line.send(b"t" * 5_000_000)
        ending.join()
        assert next(iter(line)) == (None, b"last")


class Stream:
    """Of the client library: it gives a piece, and then waits until it is closed."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self.is_closed = threading.Event()
        self.is_read = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield self._piece
        self.is_read.set()
        assert self.is_closed.wait(10)

    def close(self) -> None:
        self.is_closed.set()


def test_who_reads_logs_hears_no_more_once_somebody_hangs_up() -> None:
    streams = {True: Stream(b"out"), False: Stream(b"err")}
    logs = Logs(streams.__getitem__)
    found: list[object] = []
    reading = threading.Thread(target=lambda: found.extend(logs), daemon=True)
    reading.start()
    assert streams[True].is_read.wait(10)
    logs.hang_up()
    reading.join(10)
    assert not reading.is_alive()
    assert found == [(b"out", None)]
    assert list(logs) == []


def test_who_listens_to_a_line_hears_no_more_once_somebody_hangs_up() -> None:
    near, far = socket.socketpair()
    with near, far:
        line = Attached(near)
        found: list[object] = []
        reading = threading.Thread(target=lambda: found.extend(line), daemon=True)
        far.sendall(struct.pack(">BxxxL", 1, 3) + b"out")
        reading.start()
        line.hang_up()
        reading.join(10)
        assert not reading.is_alive()


def test_why_an_engine_does_not_answer_is_told_without_the_names_of_libraries(tmp_path: Path) -> None:
    with socket.socket() as one:  # nobody listens there, and nobody else can begin to
        one.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{one.getsockname()[1]}"
        with pytest.raises(EngineError) as refused:
            Engine({"DOCKER_HOST": address})
    place = tmp_path / "none.sock"
    with pytest.raises(EngineError) as absent:
        Engine({"DOCKER_HOST": f"unix://{place}"})
    remedy = "start it, or set DOCKER_HOST"
    assert str(refused.value) == f"the Docker engine at {address} does not answer: Connection refused; {remedy}"
    assert (
        str(absent.value) == f"the Docker engine at unix://{place} does not answer: No such file or directory; {remedy}"
    )
