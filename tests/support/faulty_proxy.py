"""A TCP proxy on loopback that does to requests what networks do: cuts, stalls, flips bytes, answers with errors."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What happens to one request. `cut` and `flip` count bytes of the answer's body."""

    refuse: bool = False  # the connection is closed without an answer
    answer: bytes = b""  # this instead of what the server says
    delay: float = 0.0  # s before anything is answered
    cut: int | None = None
    flip: int | None = None
    lose: bool = False  # the server hears it and answers, and nobody hears that
    flip_sent: bool = False  # the last byte of the request's first piece that is not its head


class FaultyProxy:
    """`plan(method, path, number)` says what happens to each request; they are counted from 1."""

    def __init__(self, port: int, plan: Callable[[str, str, int], Fault | None] = lambda *_: None) -> None:
        self.plan = plan
        self.seen: list[str] = []
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
            link = _Link(client, server)
            threading.Thread(target=link.answers, daemon=True).start()
            while data := client.recv(1 << 16):
                words = data[:4096].split(b" ", 2)
                if words[0] in (b"GET", b"PUT", b"HEAD", b"POST", b"DELETE"):
                    method, path = words[0].decode(), words[1].decode()
                    self.seen.append(f"{method} {path}")
                    link.begin(self.plan(method, path, len(self.seen)))
                    if link.fault.refuse or link.fault.answer:
                        client.sendall(link.fault.answer)
                        return
                elif link.fault.flip_sent:
                    data, link.fault = data[:-1] + bytes([data[-1] ^ 0xFF]), Fault()
                server.sendall(data)


class _Link:
    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.begin(None)

    def begin(self, fault: Fault | None) -> None:
        self.fault = fault or Fault()
        self.head, self.body = b"", -1  # body: how much of it went through; -1 while the head is read

    def answers(self) -> None:
        with suppress(OSError):
            while data := self.server.recv(1 << 16):
                if self.fault.lose:
                    break
                if self.fault.delay:
                    time.sleep(self.fault.delay)
                out, over = self._worsened(data)
                self.client.sendall(out)
                if over:
                    break
            self.client.shutdown(socket.SHUT_RDWR)

    def _worsened(self, data: bytes) -> tuple[bytes, bool]:
        before = b""
        if self.body < 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0 or self.head.startswith(b"HTTP/1.1 100"):
                self.head = b"" if end >= 0 else self.head
                return data, False
            start = len(data) - (len(self.head) - end - 4)
            before, data, self.body = data[:start], data[start:], 0
        at, flip, cut = self.body, self.fault.flip, self.fault.cut
        self.body += len(data)
        if flip is not None and at <= flip < self.body:
            place = flip - at
            data = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
        if cut is not None and self.body >= cut:
            return before + data[: cut - at], True
        return before + data, False
