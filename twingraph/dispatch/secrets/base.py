"""The promise of a provider of secrets.

Called in the process that hands lanes to workers, for each lane that names a secret, possibly by several threads at
once. A provider that `waits` may block for some seconds and is called on a thread of its own; another must not.
"""

from __future__ import annotations

from typing import Protocol


class SecretProvider(Protocol):
    """One place where secrets are kept."""

    name: str  # `${secret:NAME:place}` asks this one alone
    waits: bool

    def find(self, name: str) -> str | None:
        """The value of a plain name; None when it is not kept here.

        SecretError when trying again cannot help, SecretUnavailable when it may.
        """

    def read(self, place: str) -> str | None:
        """The value at a place, in this provider's own words. The same errors."""

    def remedy(self, name: str) -> str:
        """How the operator gives a secret of this name here."""

    def check(self) -> str:
        """What `doctor` says of it, in a few words. The same errors."""
