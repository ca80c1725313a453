"""Connections to an engine on this machine that leave nothing open where nobody answers.

The client library's own forget the socket of a connection that failed, which stays open until a search for garbage
finds it. Imported by `client` alone.
"""

from __future__ import annotations

import socket
from typing import Any

from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool


class _Connection(UnixHTTPConnection):  # type: ignore[misc]  # the library has no types
    def connect(self) -> None:
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            fresh.settimeout(self.timeout)
            fresh.connect(self.unix_socket)
        except BaseException:
            fresh.close()
            raise
        self.sock = fresh


class _Pool(UnixHTTPConnectionPool):  # type: ignore[misc]  # the library has no types
    def _new_conn(self) -> Any:
        return _Connection(self.base_url, self.socket_path, self.timeout)


class SocketAdapter(UnixHTTPAdapter):  # type: ignore[misc]  # the library has no types
    """For `http+docker://` of the library."""

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        with self.pools.lock:
            pool = self.pools.get(url)
            if pool is None:
                pool = self.pools[url] = _Pool(url, self.socket_path, self.timeout, maxsize=self.max_pool_size)
        return pool
