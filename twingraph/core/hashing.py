"""The one content hash: BLAKE2b with 32 bytes, as hex. Python 3.8 syntax; ships alone into containers."""

from __future__ import annotations

from typing import Any

try:  # hashlib loads OpenSSL, which costs 2 ms of every start and which nothing here needs
    from _blake2 import blake2b
except ImportError:  # another implementation of Python
    from hashlib import blake2b

__all__ = ["blake2b", "content_hash", "hasher", "signature"]

DIGEST_SIZE = 32


def content_hash(data: Any) -> str:
    """Hash of any bytes-like object."""
    return blake2b(data, digest_size=DIGEST_SIZE).hexdigest()


def hasher() -> Any:
    """A hash to be fed piece by piece with `update` and read with `hexdigest`."""
    return blake2b(digest_size=DIGEST_SIZE)


def signature(key: bytes, *parts: str) -> str:
    """A keyed hash over parts; a key longer than BLAKE2b takes is hashed first."""
    if len(key) > 64:
        key = blake2b(key).digest()
    mac = blake2b(digest_size=DIGEST_SIZE, key=key)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        mac.update(len(data).to_bytes(8, "little") + data)  # the length keeps two parts from running together
    return mac.hexdigest()
