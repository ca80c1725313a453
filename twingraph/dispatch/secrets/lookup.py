"""One question to all providers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twingraph.core.errors import SecretError
from twingraph.dispatch.secrets.base import SecretProvider

# What could be asked if it were configured, by the word before the colon.
_CONFIGURED_BY = {"env": "", "file": "TWINGRAPH_SECRETS_FILE", "vault": "VAULT_ADDR and VAULT_TOKEN"}


class Secrets:
    """The providers in the order in which a plain name is looked for. May be used by several threads."""

    def __init__(self, providers: Iterable[SecretProvider]) -> None:
        self.providers: Sequence[SecretProvider] = tuple(providers)

    def at_once(self, name: str) -> str | None:
        """The value, where nobody has to be waited for; None: `value_of` may know."""
        kind, colon, place = name.partition(":")
        for provider in self.providers:
            if not provider.waits and (not colon or provider.name == kind):
                value = provider.read(place) if colon else provider.find(name)
                if value is not None:
                    return value
        return None

    def may_wait(self, name: str) -> bool:
        """Whether a provider that is waited for could know it."""
        kind, colon, _ = name.partition(":")
        return any(provider.waits and (not colon or provider.name == kind) for provider in self.providers)

    def value_of(self, name: str) -> str:
        """The value. SecretError for one that nobody knows, SecretUnavailable where nobody answers."""
        kind, colon, place = name.partition(":")
        if colon:
            return self._at(name, kind, place)
        for provider in self.providers:
            value = provider.find(name)
            if value is not None:
                return value
        ways = ", or ".join(provider.remedy(name) for provider in self.providers)
        raise SecretError(f"the secret {name!r} is not known: {ways}")

    def _at(self, name: str, kind: str, place: str) -> str:
        for provider in self.providers:
            if provider.name == kind:
                value = provider.read(place)
                if value is None:
                    raise SecretError(f"the secret {name!r} is not known: {provider.remedy(place)}")
                return value
        if kind in _CONFIGURED_BY:
            raise SecretError(f"the secret {name!r} cannot be looked up: set {_CONFIGURED_BY[kind]}")
        raise SecretError(f"the secret {name!r} names no provider: there are {', '.join(_CONFIGURED_BY)}")
