from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from twingraph.core.errors import SecretError
from twingraph.dispatch.secrets.catalog import configured
from twingraph.dispatch.secrets.environment import EnvironmentSecrets
from twingraph.dispatch.secrets.lookup import Secrets


class Store:
    """A provider in memory."""

    waits = False

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        self.name = name
        self.values = values

    def find(self, name: str) -> str | None:
        return self.values.get(name)

    read = find

    def remedy(self, name: str) -> str:
        return f"put {name} into {self.name}"

    def check(self) -> str:
        return "there"


def test_the_first_that_knows_a_name_gives_it() -> None:
    secrets = Secrets([Store("one", {"A": "1"}), Store("two", {"A": "2", "B": "2"})])
    assert [secrets.value_of(name) for name in ("A", "B", "two:A")] == ["1", "2", "2"]
    assert secrets.at_once("B") == "2"
    assert secrets.at_once("C") is None


def test_an_unknown_name_is_told_with_every_way_to_give_it() -> None:
    secrets = Secrets([Store("one", {}), Store("two", {})])
    with pytest.raises(SecretError, match="'A' is not known: put A into one, or put A into two"):
        secrets.value_of("A")
    with pytest.raises(SecretError, match="'two:A' is not known: put A into two"):
        secrets.value_of("two:A")
    with pytest.raises(SecretError, match="names no provider: there are env, file, vault"):
        secrets.value_of("safe:A")
    with pytest.raises(SecretError, match="set VAULT_ADDR and VAULT_TOKEN"):
        secrets.value_of("vault:a#b")


def test_the_environment_knows_names_that_no_variable_can_have() -> None:
    secrets = EnvironmentSecrets({"TWINGRAPH_SECRET_A": "1", "TWINGRAPH_SECRET_DB_PASSWORD": "2"})
    assert [secrets.find(name) for name in ("A", "db.password", "db-password", "a")] == ["1", "2", "2", None]
    assert secrets.remedy("db.password") == "set TWINGRAPH_SECRET_DB_PASSWORD"


def test_only_what_is_configured_is_there() -> None:
    assert [p.name for p in configured({}, None, None).providers] == ["env"]
    both = configured({"VAULT_ADDR": "http://127.0.0.1:1"}, Path("x"), None)
    assert [p.name for p in both.providers] == ["env", "file", "vault"]
    assert [both.may_wait(name) for name in ("A", "vault:a#b", "env:A")] == [True, True, False]
