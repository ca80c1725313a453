"""Secrets in HashiCorp Vault (or OpenBao), by its HTTP API: the key-value engine, version 1 and 2.

A place is `PATH#FIELD`, the path as the API has it: `secret/data/db#password` in version 2, `kv/db#password` in 1.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from twingraph.core.errors import SecretError, SecretUnavailable
from twingraph.core.recordclass import recordclass

_LARGEST = 1 << 20
# Answers that may be others a moment later: a standby, a sealed vault, one that is overloaded or being restored.
_TEMPORARY = frozenset({408, 412, 425, 429, 472, 473, 500, 502, 503, 504})


@recordclass
class VaultOptions:
    """Named as Vault's own tools name them in the environment: VAULT_ADDR, VAULT_TOKEN, ..."""

    address: str
    token: str = field(default="", repr=False)
    namespace: str = ""
    ca_file: str = ""  # VAULT_CACERT
    path: str = ""  # where plain names are looked up, each as a field
    seconds: float = 10.0  # for one look-up, all tries together
    tries: int = 3
    kept_seconds: float = 10.0  # an answer serves so long


class VaultSecrets:
    """See `base.SecretProvider`."""

    name = "vault"
    waits = True

    def __init__(self, options: VaultOptions) -> None:
        self._options = options
        self._kept: dict[str, tuple[float, Mapping[str, Any] | None]] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> str | None:
        return self._field(self._options.path, name) if self._options.path else None

    def read(self, place: str) -> str | None:
        path, hash_sign, name = place.rpartition("#")
        if not hash_sign or not path.strip("/") or not name:
            raise SecretError(f"'vault:{place}' names no field: write vault:PATH#FIELD, as in secret/data/db#password")
        return self._field(path, name)

    def remedy(self, name: str) -> str:
        where = f" at {self._options.path}" if self._options.path else ", and name it as vault:PATH#FIELD"
        return f"put it into Vault{where}"

    def _field(self, path: str, name: str) -> str | None:
        fields = self._secret(path.strip("/"))
        value = None if fields is None else fields.get(name)
        return value if value is None or isinstance(value, str) else json.dumps(value)

    def _secret(self, path: str) -> Mapping[str, Any] | None:
        with self._lock:
            found = self._kept.get(path)
        if found is not None and time.monotonic() - found[0] < self._options.kept_seconds:
            return found[1]
        fields = self._ask(path)
        if fields is not None:
            with self._lock:
                self._kept[path] = (time.monotonic(), fields)
        return fields

    def _ask(self, path: str) -> Mapping[str, Any] | None:
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise SecretError(f"{path!r} is not a path of Vault")
        status, body = self._get(f"/v1/{urllib.parse.quote(path)}")
        if status == 200:
            return _fields(body)
        if status == 404:
            if "versioned" in _words(body, "warnings"):
                mount, _, rest = path.partition("/")
                raise SecretError(f"{path} lies in a key-value engine of version 2: write {mount}/data/{rest}")
            return None
        if status in (401, 403):
            why = "VAULT_TOKEN is not set" if not self._options.token else "permission denied"
            raise SecretError(
                f"Vault at {self._options.address} refuses {path} ({why}): its token must be valid and may need "
                "a policy that allows to read this path"
            )
        said = _words(body, "errors")
        raise SecretError(f"Vault at {self._options.address} answers {status} for {path}{': ' if said else ''}{said}")

    def check(self) -> str:
        """Whether it is there, open, and knows the token."""
        address = self._options.address
        status, body = self._get("/v1/sys/health?standbyok=true&perfstandbyok=true")
        if status != 200:
            state = "sealed" if body.get("sealed") else "not ready"
            raise SecretUnavailable(f"Vault at {address} is {state} ({status})")
        status, _ = self._get("/v1/auth/token/lookup-self")
        if status != 200:
            raise SecretError(f"Vault at {address} does not accept VAULT_TOKEN ({status})")
        return f"Vault {body.get('version', '')} at {address}".replace("  ", " ")

    # -- one request -------------------------------------------------------------------------------

    def _get(self, target: str) -> tuple[int, Mapping[str, Any]]:
        """Status and body of an answer that will not change by itself. SecretUnavailable when there is none in time."""
        until = time.monotonic() + self._options.seconds
        why = ""
        for number in range(self._options.tries):
            if number:
                time.sleep(max(0.0, min(0.2 * 2**number, until - time.monotonic())))
            if time.monotonic() >= until:
                break
            try:
                status, body = self._once(target, until)
            except (OSError, http.client.HTTPException) as error:
                why = _reason(error)
                continue
            if status not in _TEMPORARY:
                return status, body
            why = f"it answers {status}" + (" (sealed)" if status == 503 and body.get("sealed", True) else "")
        raise SecretUnavailable(f"Vault at {self._options.address} cannot be asked: {why or 'no answer in time'}")

    def _once(self, target: str, until: float) -> tuple[int, Mapping[str, Any]]:
        headers = {"X-Vault-Request": "true", "Accept": "application/json"}
        if self._options.token:
            headers["X-Vault-Token"] = self._options.token
        if self._options.namespace:
            headers["X-Vault-Namespace"] = self._options.namespace
        request = urllib.request.Request(self._options.address.rstrip("/") + target, headers=headers)
        try:
            with self._opener().open(request, timeout=max(0.01, until - time.monotonic())) as answer:
                return answer.status, _body(answer, until)
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, _body(answer, until)

    def _opener(self) -> urllib.request.OpenerDirector:
        handlers: list[urllib.request.BaseHandler] = [_SafeRedirects()]
        if self._options.ca_file:
            context = ssl.create_default_context(cafile=self._options.ca_file)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        return urllib.request.build_opener(*handlers)


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """A standby sends to the active node, once; the token never goes from TLS into the open."""

    max_redirections = 1

    def redirect_request(self, request: Any, file: Any, code: Any, message: Any, headers: Any, newurl: Any) -> Any:
        if request.type == "https" and not newurl.lower().startswith("https:"):
            raise OSError("Vault redirects from https to http, which is refused")
        return super().redirect_request(request, file, code, message, headers, newurl)


def _body(answer: Any, until: float) -> Mapping[str, Any]:
    """A server that trickles is bounded as well."""
    data = b""
    while piece := answer.read1(1 << 16):
        data += piece
        if len(data) > _LARGEST:
            raise OSError(f"its answer is larger than {_LARGEST >> 20} MiB")
        if time.monotonic() > until:
            raise TimeoutError("no answer in time")
    try:
        body = json.loads(data or b"{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _fields(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Version 2 puts the fields one level deeper, beside what is known about their version."""
    data = body.get("data")
    if not isinstance(data, dict):
        return None
    if isinstance(data.get("metadata"), dict) and set(data) == {"data", "metadata"}:
        inner = data["data"]
        return inner if isinstance(inner, dict) else None
    return data


def _words(body: Mapping[str, Any], key: str) -> str:
    said = body.get(key)
    return "; ".join(str(word) for word in said)[:500] if isinstance(said, list) else ""


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return "no answer in time"
    return str(inner) or type(inner).__name__
