"""What is asked of the engine for an attempt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from twingraph.executors.base import Task
from twingraph.executors.docker.archive import GoingIn
from twingraph.executors.docker.request import RequestError, name_of, request_of, work_of
from twingraph.store.blobs.catalog import open_blobs

TASK = Task(
    execution="e", node="part[3]/clean it", attempt=2, component="c", entry="c", bundle_path="", code_version="1",
    image="python:3.9",
)  # fmt: skip
KEY = b"key"


def asked(**given: Any) -> Any:
    return request_of(replace(TASK, **given), "home", KEY)


def test_names_are_the_engines_own_and_differ_by_attempt() -> None:
    assert name_of(TASK, "home").endswith("-part-3-clean-it-2")
    assert name_of(TASK, "home") != name_of(replace(TASK, attempt=1), "home")
    assert name_of(TASK, "home") != name_of(replace(TASK, node="part 3 clean it"), "home")


def test_bounds() -> None:
    host = asked(resources={"memory": "2G", "cpu": "1.5", "gpu": 2}).host
    assert host == {"mem_limit": 2 * 10**9, "memswap_limit": 2 * 10**9, "nano_cpus": 1_500_000_000, "gpus": 2}
    assert asked(resources={"gpu": False}).host == {}
    assert asked(resources={"gpu": True}).host == {"gpus": -1}


def test_volumes() -> None:
    config = {"volumes": {"/data": "/there", "kept": "/kept:ro"}}
    assert asked(config=config).host["binds"] == ["/data:/there:rw", "kept:/kept:ro"]


def test_a_variable_with_a_secret_is_not_shown_to_who_looks_at_the_container() -> None:
    request = asked(environment={"OPEN": "yes", "URL": "x://user:s3cret@y"}, secrets=("s3cret",))
    assert request.environment == {"OPEN": "yes"}


def test_a_variable_that_is_no_utf8_goes_in_as_it_is(tmp_path: Path) -> None:
    """An engine would take another text in its place."""
    task = replace(TASK, environment={"OPEN": "yes", "A": "\udcff"}, bundle_path=str(tmp_path / "bundle"))
    (tmp_path / "bundle").write_text("{}")
    request = request_of(task, "home", KEY)
    assert request.environment == {"OPEN": "yes"}
    sent = b"".join(GoingIn(task, request.environment, open_blobs(str(tmp_path))).pieces())
    assert '"environment":{"A":"\udcff"}'.encode("utf-8", "surrogatepass") in sent


def test_our_own_labels_cannot_be_taken() -> None:
    labels = asked(labels={"team": "blue", "twingraph.execution": "other"}).labels
    assert (labels["team"], labels["twingraph.execution"]) == ("blue", "e")


def test_equal_work_is_known_and_other_work_is_not() -> None:
    same = replace(TASK, attempt=3, labels={"a": "b"})
    assert work_of(TASK, KEY) == work_of(same, KEY)
    for other in ({"args": [("x", "1")]}, {"code_version": "2"}, {"image": "python:3.8"}, {"environment": {"A": "b"}}):
        assert work_of(replace(TASK, **other), KEY) != work_of(TASK, KEY)
    assert work_of(TASK, KEY) != work_of(TASK, b"another")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"image": None}, "docker_image is missing"),
        ({"resources": {"memory": "1M"}}, "6 MiB"),
        ({"config": {"volumes": {"/a": "b"}}}, "absolute"),
        ({"config": {"volumes": ["/a"]}}, "must map"),
        ({"config": {"pull_policy": "Sometimes"}}, "pull_policy"),
        ({"config": {"credentials": {"username": "u"}}}, "password"),
        ({"config": {"network": 3}}, "network"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        asked(**given)


def test_pull_policies_of_both_families() -> None:
    found = [asked(config={"pull_policy": word}).pull for word in ("Always", "IfNotPresent", "missing", "Never")]
    assert found == ["always", "missing", "missing", "never"]
