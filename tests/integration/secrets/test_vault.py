"""Vault's HTTP API, spoken with a server on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_vault import TOKEN, FakeVault
from twingraph.core.errors import SecretError, SecretUnavailable
from twingraph.dispatch.secrets.vault import VaultOptions, VaultSecrets


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVault]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = FakeVault()
    made.version_1["kv/db"] = {"password": "one", "port": 5432}
    made.version_2["secret/db"] = {"password": "two", "nested": {"a": 1}}
    made.version_2["secret/old"] = None
    yield made
    made.close()


def secrets(vault: FakeVault, **more: Any) -> VaultSecrets:
    return VaultSecrets(VaultOptions(**{"address": vault.address, "token": TOKEN, "seconds": 1.0, **more}))


def test_both_versions_of_the_engine(vault: FakeVault) -> None:
    ours = secrets(vault)
    assert ours.read("kv/db#password") == "one"
    assert ours.read("kv/db#port") == "5432"
    assert ours.read("secret/data/db#password") == "two"
    assert ours.read("secret/data/db#nested") == '{"a": 1}'
    assert ours.read("secret/data/db#none") is None
    assert ours.read("secret/data/none#password") is None
    assert ours.read("secret/data/old#password") is None


def test_plain_names_are_fields_of_the_configured_path(vault: FakeVault) -> None:
    assert secrets(vault).find("password") is None
    assert secrets(vault, path="secret/data/db").find("password") == "two"


def test_a_namespace_is_told(vault: FakeVault) -> None:
    vault.namespace = "team"
    assert secrets(vault).read("kv/db#password") is None
    assert secrets(vault, namespace="team").read("kv/db#password") == "one"


def test_a_path_of_the_other_version_is_corrected(vault: FakeVault) -> None:
    with pytest.raises(SecretError, match="write secret/data/db"):
        secrets(vault).read("secret/db#password")


@pytest.mark.parametrize("place", ["secret/data/db", "#password", "secret/data/db#", "../sys/x#a", "a//b#c"])
def test_a_place_that_is_none_is_not_asked_for(vault: FakeVault, place: str) -> None:
    with pytest.raises(SecretError):
        secrets(vault).read(place)
    assert vault.asked == []


def test_a_refusal_is_permanent_and_says_why(vault: FakeVault) -> None:
    vault.denied.add("kv/db")
    for token, why in (
        (TOKEN, "permission denied"),
        ("hvs.wrong", "permission denied"),
        ("", "VAULT_TOKEN is not set"),
    ):
        with pytest.raises(SecretError, match=f"refuses kv/db .*{why}") as caught:
            secrets(vault, token=token).read("kv/db#password")
        assert not token or token not in str(caught.value)
    assert len(vault.asked) == 3


def test_what_passes_is_tried_again(vault: FakeVault) -> None:
    vault.failures = [500, 429]
    assert secrets(vault, seconds=5.0).read("kv/db#password") == "one"


def test_what_does_not_pass_is_temporary(vault: FakeVault) -> None:
    vault.sealed = True
    with pytest.raises(SecretUnavailable, match="sealed"):
        secrets(vault, seconds=5.0).read("kv/db#password")


@pytest.mark.parametrize("way", ["delay", "trickle"])
def test_a_slow_server_is_not_waited_for(vault: FakeVault, way: str) -> None:
    if way == "delay":
        vault.delay = 3600.0
    else:
        vault.trickle = True
    with pytest.raises(SecretUnavailable, match="no answer in time"):
        secrets(vault).read("kv/db#password")


def test_nobody_there_is_temporary(vault: FakeVault) -> None:
    ours = secrets(vault)
    vault.close()
    with pytest.raises(SecretUnavailable, match=vault.address):
        ours.read("kv/db#password")


def test_a_standby_sends_to_the_active_node(vault: FakeVault) -> None:
    standby = FakeVault()
    standby.redirect = vault.address
    assert secrets(standby).read("kv/db#password") == "one"
    standby.close()


def test_an_answer_serves_for_a_while(vault: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = secrets(vault, kept_seconds=60.0)
    assert [ours.read("kv/db#password"), ours.read("kv/db#port")] == ["one", "5432"]
    assert len(vault.asked) == 1
    vault.version_1["kv/db"] = {"password": "new"}
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 60.0)
    assert ours.read("kv/db#password") == "new"


def test_doctor_learns_whether_it_works(vault: FakeVault) -> None:
    assert secrets(vault).check() == f"Vault 1.20.0 at {vault.address}"
    with pytest.raises(SecretError, match="does not accept VAULT_TOKEN"):
        secrets(vault, token="hvs.wrong").check()
    vault.sealed = True
    with pytest.raises(SecretUnavailable, match="sealed"):
        secrets(vault).check()


def test_the_options_do_not_show_the_token() -> None:
    assert "hvs" not in repr(VaultOptions(address="http://x", token="hvs.x"))


SCRIPT = """
import os
from twingraph import Workflow, component

@component(environment={"P": "${secret:vault:secret/data/db#password}"}, retry_policy=POLICY)
def length(text: str) -> list:
    assert "VAULT_TOKEN" not in os.environ
    return [len(text), os.environ["P"] == "t" + "wo" + "-and-more", text]

print(Workflow("v").add_component("l", length, text="<${secret:password}>").run())
"""


def run(folder: Path, vault: FakeVault, policy: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(SCRIPT.replace("POLICY", policy))
    environment = {
        **os.environ, "TWINGRAPH_HOME": str(folder / "home"), "PYTHONPATH": str(Path(__file__).parents[3]),
        "VAULT_ADDR": vault.address, "VAULT_TOKEN": TOKEN, "TWINGRAPH_SECRETS_VAULT": "secret/data/db",
    }  # fmt: skip
    command = [sys.executable, "script.py"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


def test_a_node_is_given_what_vault_holds(tmp_path: Path, vault: FakeVault) -> None:
    vault.version_2["secret/db"] = {"password": "two-and-more"}
    done = run(tmp_path, vault, "None")
    assert done.stdout == "[14, True, '<***>']\n", done.stderr[-3000:]
    assert not [
        file for file in (tmp_path / "home").rglob("*") if file.is_file() and b"two-and-more" in file.read_bytes()
    ]


def test_a_vault_that_is_away_is_tried_again_by_the_policy(tmp_path: Path, vault: FakeVault) -> None:
    vault.version_2["secret/db"] = {"password": "two-and-more"}
    vault.failures = [503, 503, 503, 503]
    done = run(tmp_path, vault, "{'max_attempts': 3, 'initial_delay': 0.01}")
    assert done.stdout == "[14, True, '<***>']\n", done.stderr[-3000:]


def test_a_refused_secret_ends_the_node_at_once(tmp_path: Path, vault: FakeVault) -> None:
    vault.denied.add("secret/data/db")
    done = run(tmp_path, vault, "{'max_attempts': 3, 'initial_delay': 0.01}")
    assert done.returncode == 1
    assert "refuses secret/data/db" in done.stderr
    assert len(vault.asked) == 2  # once for each of the two names


def test_a_secret_that_was_missing_is_given_and_the_execution_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from twingraph import component, pipeline\n"
        "@component\ndef first() -> int:\n    open('ran', 'a').write('x')\n    return 1\n"
        "@component\ndef second(n: int, token: str) -> int:\n    return n + len(token)\n"
        "@pipeline\ndef both():\n    return second(first(), token='${secret:LATE}')\n"
    )
    environment = {
        **os.environ, "TWINGRAPH_HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path(__file__).parents[3]),
        "TWINGRAPH_PROGRESS": "off",
    }  # fmt: skip
    tool = [sys.executable, "-m", "twingraph"]
    how: dict[str, Any] = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 60, "check": False}
    failed = subprocess.run([*tool, "run", "script.py:both"], env=environment, **how)
    assert failed.returncode == 1
    assert "the secret 'LATE' is not known: set TWINGRAPH_SECRET_LATE" in failed.stderr
    given = {**environment, "TWINGRAPH_SECRET_LATE": "12345"}
    resumed = subprocess.run([*tool, "resume", "last"], env=given, **how)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.strip() == "6"
    assert (tmp_path / "ran").read_text() == "x"
