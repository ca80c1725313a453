"""A file of secrets may hold anything: it is read, or refused in words that quote nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.foreign import spoiled_text
from twingraph.core.errors import SecretError
from twingraph.dispatch.secrets.file import FileSecrets

SECRET = "hunter2-and-more"
FILES = {
    "secrets.env": [f"A={SECRET}\n# x\nexport B='{SECRET}'\nC=\"a\nb\"\n"],
    "secrets.toml": [f'a = "{SECRET}"\n[t]\nb = "{SECRET}"\nn = 3\n', f'a = """\n{SECRET}\n"""\n'],
}
HARD = ["a = " + "[" * 100_000, "a = " + "9" * 5_000, "[a]\n[a]\n", "=", "'", "A=" + "x" * 99_999, "\ufeffA=1"]


def refusal(folder: Path, name: str, data: bytes) -> str:
    """What is said of it; nothing when it is read."""
    path = folder / name
    path.write_bytes(data)
    path.chmod(0o600)
    try:
        FileSecrets(path).find("A")
    except SecretError as error:
        return str(error)
    return ""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_what_was_changed_is_read_or_refused(tmp_path: Path, name: str, data: st.DataObject) -> None:
    text = data.draw(spoiled_text(FILES[name])) if data.draw(st.booleans()) else data.draw(st.text(max_size=40))
    junk = data.draw(st.binary(max_size=4))
    at = data.draw(st.integers(0, 30))
    whole = text.encode("utf-8", "surrogatepass")
    assert SECRET not in refusal(tmp_path, name, whole[:at] + junk + whole[at:])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("number", range(len(HARD)))
def test_what_no_parser_likes_is_read_or_refused(tmp_path: Path, name: str, number: int) -> None:
    refusal(tmp_path, name, HARD[number].encode())
