from __future__ import annotations

import os
from pathlib import Path

import pytest

from twingraph.core.errors import SecretError
from twingraph.dispatch.secrets.file import FileSecrets


def private(folder: Path, text: str, name: str = "secrets.env") -> FileSecrets:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return FileSecrets(path)


LINES = r"""
# comment
A=one
export B = two words # and a comment
C='three # no comment'
D="four \"quoted\"\nline"
E="five
goes on"
F=
"""


def test_lines(tmp_path: Path) -> None:
    secrets = private(tmp_path, LINES)
    found = {name: secrets.find(name) for name in "ABCDEFG"}
    assert found == {
        "A": "one", "B": "two words", "C": "three # no comment", "D": 'four "quoted"\nline', "E": "five\ngoes on",
        "F": "", "G": None,
    }  # fmt: skip


def test_toml_with_tables(tmp_path: Path) -> None:
    secrets = private(tmp_path, 'A = "one"\n[db]\npassword = "p"\nport = 5\n', "secrets.toml")
    assert [secrets.find(name) for name in ("A", "db.password", "db.port", "db")] == ["one", "p", "5", None]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    secrets = private(tmp_path, "A=hidden")
    (tmp_path / "secrets.env").chmod(mode)
    with pytest.raises(SecretError, match=f"mode {mode:03o}.*chmod 600") as caught:
        secrets.find("A")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [("A=1\nhidden", "s.env"), ('A="hidden', "s.env"), ("A = hidden", "s.toml"), ('A="hidden', "s.toml")],
)
def test_an_error_does_not_quote_the_file(tmp_path: Path, text: str, name: str) -> None:
    with pytest.raises(SecretError, match=name) as caught:
        private(tmp_path, text, name).find("A")
    assert "hidden" not in str(caught.value)


def test_what_is_not_there_or_no_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(SecretError, match=str(path)):
            FileSecrets(path).find("A")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    secrets = private(tmp_path, "A=one")
    assert secrets.find("A") == "one"
    private(tmp_path, "A=two!")
    assert secrets.find("A") == "two!"
    os.unlink(tmp_path / "secrets.env")
    with pytest.raises(SecretError):
        secrets.find("A")
