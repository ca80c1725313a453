"""A way to a server that can be cut at the worst moment."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class CuttingProxy:
    """Passes bytes on. `cut_answer_to` waits for these bytes from the client, passes them on, lets the server answer,
    and cuts the connection instead of bringing the answer; `cut_before` cuts before the server gets them. After
    `hold_before` the server gets nothing from there on, and does not see its connection end before `close`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._cut: tuple[bytes, bool] | None = None
        self._holds = False
        self.cuts = 0
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_before(self, words: bytes) -> None:
        self._cut = words, False

    def hold_before(self, words: bytes) -> None:
        self._cut, self._holds = (words, False), True

    def cut_answer_to(self, words: bytes) -> None:
        self._cut = words, True

    def close(self) -> None:
        self._listener.close()
        for open_socket in self._sockets:
            open_socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                threading.Thread(target=self._forth, args=(client, server), daemon=True).start()
                threading.Thread(target=self._back, args=(server, client), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 20):
                cut = self._cut
                if cut is not None and cut[0] in data:
                    self._cut = None
                    self.cuts += 1
                    if self._holds:
                        return
                    if not cut[1]:
                        break
                    client.shutdown(socket.SHUT_RDWR)  # its answer goes nowhere
                    server.sendall(data)
                    server.settimeout(0.5)
                    with suppress(OSError):
                        while server.recv(1 << 16):
                            pass
                    break
                server.sendall(data)
        _end(client, server)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 20):
                client.sendall(data)
        _end(client, server)


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
