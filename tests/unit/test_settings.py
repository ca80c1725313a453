"""Settings: the order of their sources, and errors that name the place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twingraph.settings import SettingsError, load


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "twingraph.toml").write_text('workers = 1\nprogress = "off"\nlog_level = "info"\n')
    environ = {"TWINGRAPH_WORKERS": "2", "TWINGRAPH_PROGRESS": "plain", "HOME": "/somebody"}
    settings = load({"workers": "3"}, environ=environ, folder=tmp_path)
    assert (settings.workers, settings.progress, settings.log_level) == (3, "plain", "info")
    assert settings.durability == "normal"
    assert settings.home == Path("/somebody/.twingraph")


def test_the_file_is_found_above_and_its_home_is_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "twingraph.toml").write_text('home = "runs"\n')
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    settings = load(environ={}, folder=inner)
    assert settings.home == tmp_path / "runs"
    assert settings.file == tmp_path / "twingraph.toml"


def test_all_problems_are_told_with_file_key_and_nearest(tmp_path: Path) -> None:
    file = tmp_path / "twingraph.toml"
    file.write_text('worker = 2\nprogress = "liv"\n')
    with pytest.raises(SettingsError) as caught:
        load(environ={"TWINGRAPH_INLINE": "perhaps"}, folder=tmp_path)
    text = str(caught.value)
    assert f"{file}: worker: is not a setting; did you mean 'workers'" in text
    assert f"{file}: progress: 'liv' is not one of auto, live, plain, off; did you mean 'live'" in text
    assert "TWINGRAPH_INLINE: must be 1 or 0, not 'perhaps'" in text


@pytest.mark.parametrize("text", ["not toml", "[a\n"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "twingraph.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"twingraph\.toml: cannot be read"):
        load(environ={}, folder=tmp_path)


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    assert load(environ={"TWINGRAPH_WORKERS": "", "HOME": "/h"}, folder=tmp_path).workers is None


def test_what_has_not_landed_is_refused_rather_than_ignored(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TWINGRAPH_GRAPH_URL: has no effect in this version yet"):
        load(environ={"TWINGRAPH_GRAPH_URL": "ws://localhost"}, folder=tmp_path)
    load(environ={"TWINGRAPH_GRAPH_URL": "embedded", "HOME": "/h"}, folder=tmp_path)


def test_who_carries_nodes_out_is_a_setting(tmp_path: Path) -> None:
    assert load(environ={"TWINGRAPH_DISPATCH": "Celery", "HOME": "/h"}, folder=tmp_path).dispatch == "celery"
    with pytest.raises(SettingsError, match="TWINGRAPH_DISPATCH: 'selery' is not one of embedded, celery"):
        load(environ={"TWINGRAPH_DISPATCH": "selery"}, folder=tmp_path)


def test_a_flag_is_named_as_it_is_typed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--broker: "):
        load({"broker_url": "http://here"}, environ={}, folder=tmp_path)


def test_a_key_of_workers_is_long_enough_and_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TWINGRAPH_WORKER_KEY: is too short"):
        load(environ={"TWINGRAPH_WORKER_KEY": "short"}, folder=tmp_path)
    settings = load(environ={"TWINGRAPH_WORKER_KEY": "long enough to be one", "HOME": "/h"}, folder=tmp_path)
    assert settings.worker_key == "long enough to be one"
    assert "long enough" not in repr(settings)


def test_a_database_is_taken_from_the_environment() -> None:
    url = "postgresql://ada@db.example:5432/flows"
    assert load(environ={"TWINGRAPH_DATABASE_URL": url}, folder=Path(os.sep)).database_url == url


@pytest.mark.parametrize("given", ["sqlite:///home.db", "mysql://ada:pass@db/flows", "flows"])
def test_another_kind_of_database_is_refused_without_showing_a_password(given: str) -> None:
    with pytest.raises(SettingsError, match=r"TWINGRAPH_DATABASE_URL.*is not postgresql://") as told:
        load(environ={"TWINGRAPH_DATABASE_URL": given}, folder=Path(os.sep))
    assert "pass@" not in str(told.value)


@pytest.mark.parametrize(
    "url", ["redis://localhost/0", "rediss://:p@r:6380/1", "amqp://ada:p@rabbit//", "amqps://rabbit"]
)
def test_a_broker_is_taken_from_the_environment(url: str) -> None:
    assert load(environ={"TWINGRAPH_BROKER_URL": url}, folder=Path(os.sep)).broker_url == url


@pytest.mark.parametrize("given", ["sqs://ada:pass@", "localhost:6379"])
def test_another_kind_of_broker_is_refused_without_showing_a_password(given: str) -> None:
    with pytest.raises(SettingsError, match=r"TWINGRAPH_BROKER_URL.*is neither redis://.*nor amqp://") as told:
        load(environ={"TWINGRAPH_BROKER_URL": given}, folder=Path(os.sep))
    assert "pass@" not in str(told.value)


def test_a_worker_may_take_no_bodies_and_not_fewer(tmp_path: Path) -> None:
    home = {"HOME": "/h"}
    assert load(environ=home, folder=tmp_path).bodies is None
    assert load(environ={"TWINGRAPH_BODIES": "0", **home}, folder=tmp_path).bodies == 0
    assert load({"bodies": "7"}, environ={"TWINGRAPH_BODIES": "0", **home}, folder=tmp_path).bodies == 7
    with pytest.raises(SettingsError, match="TWINGRAPH_BODIES: must be a whole number from 0, not '-1'"):
        load(environ={"TWINGRAPH_BODIES": "-1", **home}, folder=tmp_path)
