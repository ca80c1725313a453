"""Secrets in one file that nobody else can read: TOML (`.toml`), or lines `NAME=value` as in a `.env` file."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twingraph.core.errors import SecretError

_LARGEST = 1 << 20


class FileSecrets:
    """See `base.SecretProvider`. Read again when the file has changed."""

    name = "file"
    waits = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._values: Mapping[str, str] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> str | None:
        return self._read().get(name)

    read = find

    def remedy(self, name: str) -> str:
        return f"add it to {self._path}"

    def check(self) -> str:
        return f"{len(self._read())} from {self._path}"

    def _read(self) -> Mapping[str, str]:
        with self._lock:
            try:
                status = os.stat(self._path)
                self._check_private(status)
                seen = (status.st_mtime_ns, status.st_size, status.st_ino)
                if seen != self._seen:
                    self._values = _parsed(self._path, self._path.read_text(encoding="utf-8"))
                    self._seen = seen
            except OSError as error:
                raise SecretError(f"the file of secrets {self._path} cannot be read: {error.strerror}") from error
            except UnicodeDecodeError as error:
                raise SecretError(f"the file of secrets {self._path} is not text in UTF-8") from error
        return self._values

    def _check_private(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise SecretError(f"the file of secrets {self._path} is not a file")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise SecretError(
                f"the file of secrets {self._path} can be used by others (mode {mode:03o}): chmod 600 {self._path}"
            )
        if status.st_uid not in (0, os.geteuid()):
            raise SecretError(f"the file of secrets {self._path} belongs to another user (id {status.st_uid})")
        if status.st_size > _LARGEST:
            raise SecretError(f"the file of secrets {self._path} is larger than {_LARGEST >> 20} MiB")


def _parsed(path: Path, text: str) -> dict[str, str]:
    """An error never quotes a line: there may be a secret in it."""
    if path.suffix == ".toml":
        import tomllib

        try:
            return dict(_flat(tomllib.loads(text), ""))
        except tomllib.TOMLDecodeError as error:
            place = str(error).rpartition("(")[2].rstrip(")")
            raise SecretError(f"the file of secrets {path} is not TOML ({place})") from None
        except (ValueError, RecursionError) as error:  # a number without end, or brackets in brackets
            raise SecretError(f"the file of secrets {path} cannot be read ({type(error).__name__})") from None
    return dict(_lines(path, text))


def _flat(table: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    """Names in tables are joined with dots."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value if isinstance(value, str) else str(value)


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def _lines(path: Path, text: str) -> Iterator[tuple[str, str]]:
    lines = iter(enumerate(text.split("\n"), 1))
    for number, whole in lines:
        line = whole.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise SecretError(f"line {number} of the file of secrets {path} is not NAME=value")
        value = value.strip()
        if value[:1] not in ("'", '"'):
            yield name.strip(), value.partition(" #")[0].rstrip()
            continue
        quote = value[0]
        while (found := _quoted(value[1:], quote)) is None:  # it goes on in the next line
            _, more = next(lines, (0, None))
            if more is None:
                raise SecretError(f"the quote in line {number} of the file of secrets {path} is not closed")
            value += "\n" + more
        yield name.strip(), found


def _quoted(text: str, quote: str) -> str | None:
    """What stands before the closing quote; None where there is none."""
    parts: list[str] = []
    letters = iter(text)
    for letter in letters:
        if letter == quote:
            return "".join(parts)
        if letter == "\\" and quote == '"':
            following = next(letters, "")
            parts.append(_ESCAPES.get(following, "\\" + following))
        else:
            parts.append(letter)
    return None
