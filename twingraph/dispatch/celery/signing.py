"""Who can reach the broker can neither have code run nor read a key: what is sent is signed, and keys are masked.

Nothing is refused for its age. A message that is sent again is known by its number or by the attempt that it is about.
"""

from __future__ import annotations

import hmac
import secrets

from twingraph.core.errors import TwinGraphError
from twingraph.core.hashing import signature


class ForgedError(TwinGraphError):
    """A message was not signed with our key."""


class Seal:
    """A key that the conductors and workers of one installation share. What is signed for one purpose is worth nothing
    for another."""

    def __init__(self, key: bytes) -> None:
        self._key = bytes.fromhex(signature(key, "twingraph workers"))

    def sign(self, purpose: str, text: str) -> str:
        return signature(self._key, "sign", purpose, text)

    def check(self, purpose: str, text: object, given: object) -> str:
        """The text, when the signature holds."""
        if (
            isinstance(text, str)
            and isinstance(given, str)
            and given.isascii()
            and hmac.compare_digest(self.sign(purpose, text), given)
        ):
            return text
        raise ForgedError(
            f"a message ({purpose}) is not signed with this installation's key; where it is one of ours, give "
            "conductors and workers the same TWINGRAPH_WORKER_KEY"
        )

    def proof(self, name: str, challenge: str) -> str:
        """That who calls itself so has our key. Of no worth for anything else, nor for who asks something else."""
        return signature(self._key, "prove", name, challenge)

    def proves(self, name: str, challenge: str, given: object) -> bool:
        return isinstance(given, str) and given.isascii() and hmac.compare_digest(self.proof(name, challenge), given)

    def mask(self, secret: bytes) -> str:
        """A secret that only who has the key can read."""
        nonce = secrets.token_hex(16)
        return f"{nonce}:{self._blur(nonce, secret).hex()}"

    def unmask(self, masked: str) -> bytes:
        nonce, _, blurred = masked.partition(":")
        return self._blur(nonce, bytes.fromhex(blurred))

    def _blur(self, nonce: str, data: bytes) -> bytes:
        pad = b""
        while len(pad) < len(data):
            pad += bytes.fromhex(signature(self._key, "mask", nonce, str(len(pad))))
        return bytes(a ^ b for a, b in zip(data, pad, strict=False))
