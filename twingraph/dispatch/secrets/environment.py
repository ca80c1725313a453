"""Secrets in the environment of the process that hands out work: `TWINGRAPH_SECRET_<NAME>`."""

from __future__ import annotations

import re
from collections.abc import Mapping

PREFIX = "TWINGRAPH_SECRET_"


class EnvironmentSecrets:
    """See `base.SecretProvider`. A name that no variable can have is found in capitals with `_` instead."""

    name = "env"
    waits = False

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def find(self, name: str) -> str | None:
        return self._environ.get(PREFIX + name, self._environ.get(variable(name)))

    read = find

    def remedy(self, name: str) -> str:
        return f"set {variable(name)}"

    def check(self) -> str:
        count = sum(name.startswith(PREFIX) for name in self._environ)
        return f"{count} from the environment"


def variable(name: str) -> str:
    own = re.sub(r"\W", "_", name, flags=re.ASCII)
    return PREFIX + (name if own == name else own.upper())
