"""What a command is given: where to write, the settings, and the engine when it asks for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from twingraph.cli.backend import Backend, Reader, Runtime
from twingraph.cli.console import Console
from twingraph.core.errors import Problem
from twingraph.settings import Settings


@dataclass(kw_only=True)
class App:
    console: Console
    settings: Settings
    backend: Backend
    settings_problems: Sequence[Problem] = ()  # where the default stands instead: of `doctor` alone

    @cached_property
    def reader(self) -> Reader:
        return self.backend.open_reader(self.settings)

    def runtime(self) -> Runtime:
        return self.backend.runtime(self.settings)

    def print_json(self, document: Any) -> None:
        """One document on stdout; ASCII where the stream takes no more."""
        plain = not self.console.out.unicode
        self.console.say(json.dumps(document, indent=2, ensure_ascii=plain, default=repr))

    def now(self) -> datetime:
        return datetime.now(UTC)

    def values(self, texts: Any) -> dict[str, Any]:
        """Stored values by name, decoded."""
        return {name: self.reader.value(text) for name, text in texts.items()}
