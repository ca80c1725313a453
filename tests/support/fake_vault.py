"""A server that speaks Vault's HTTP API: key-value engines of both versions, tokens, namespaces, health."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hvs.the-token-itself"
WRONG_VERSION = (
    "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. "
    "If using the Vault CLI, use 'vault kv get' for this operation."
)


class FakeVault:
    def __init__(self) -> None:
        self.version_1: dict[str, dict[str, Any]] = {}  # by path, as in kv/db
        self.version_2: dict[str, dict[str, Any] | None] = {}  # by path without `data`, as in secret/db; None: deleted
        self.denied: set[str] = set()
        self.namespace = ""
        self.sealed = False
        self.failures: list[int] = []  # answers to give before anything else
        self.delay = 0.0
        self.trickle = False
        self.redirect = ""
        self.asked: list[str] = []
        vault = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body = vault.answer(self.path, dict(self.headers.items()))
                data = json.dumps(body).encode()
                self.send_response(status)
                if status == 307:
                    self.send_header("Location", vault.redirect + self.path)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    if vault.trickle:
                        for byte in data:
                            self.wfile.write(bytes((byte,)))
                            self.wfile.flush()
                            time.sleep(0.05)
                    else:
                        self.wfile.write(data)
                except OSError:  # the other side would not wait
                    return

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, target: str, headers: dict[str, str]) -> tuple[int, Any]:
        path = unquote(urlsplit(target).path).removeprefix("/v1/")
        self.asked.append(path)
        time.sleep(self.delay)
        if self.redirect:
            return 307, {}
        if self.failures:
            return self.failures.pop(0), {"errors": ["internal error"]}
        if path == "sys/health":
            return (503 if self.sealed else 200), {"initialized": True, "sealed": self.sealed, "version": "1.20.0"}
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if headers.get("X-Vault-Token") != TOKEN or path in self.denied:
            return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
        if headers.get("X-Vault-Namespace", "") != self.namespace:
            return 404, {"errors": ["no handler for route"]}
        if path == "auth/token/lookup-self":
            return 200, {"data": {"policies": ["default"]}}
        return self.secret(path)

    def secret(self, path: str) -> tuple[int, Any]:
        frame = {"request_id": "r", "lease_id": "", "renewable": False, "auth": None, "warnings": None}
        if path in self.version_1:
            return 200, {**frame, "lease_duration": 2764800, "data": self.version_1[path]}
        if path in self.version_2:
            return 404, {"errors": [], "warnings": [WRONG_VERSION]}
        mount, _, rest = path.partition("/data/")
        name = f"{mount}/{rest}"
        if name not in self.version_2:
            return 404, {"errors": []}
        data = self.version_2[name]
        gone = "" if data is not None else "2026-01-01T00:00:00Z"
        about = {"created_time": "2026-01-01T00:00:00Z", "deletion_time": gone, "destroyed": False, "version": 1}
        return (404 if data is None else 200), {**frame, "lease_duration": 0, "data": {"data": data, "metadata": about}}
