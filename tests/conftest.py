"""What holds for every test: a home of its own, no setting from outside, and no silent skip where CI looks."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook

from tests.support import docker as docker_support
from tests.support import s3 as s3_support
from tests.support.postgres import fresh_schema
from tools.services.use import use
from twingraph.testing.plugin import inline as inline  # as the entry point gives it where twingraph is installed

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
LEFT_OUT = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The runs of the person who tests must neither be seen by a test nor see one."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TWINGRAPH_")]:
            patch.delenv(name)
        patch.setenv("TWINGRAPH_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("TWINGRAPH_PROGRESS", "off")
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home for one test; processes that the test starts use it too."""
    folder = tmp_path / "home"
    monkeypatch.setenv("TWINGRAPH_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """PostgreSQL for as long as tests need it; see `tools/services`."""
    with use("postgres") as surroundings:
        yield surroundings["TWINGRAPH_DATABASE_URL"]


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The URL of a fresh database for one test."""
    with fresh_schema(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_support.Endpoint]:
    """A real S3 endpoint with an empty bucket, and its keys in the environment; marked `only_with_s3`."""
    with pytest.MonkeyPatch.context() as patch, s3_support.endpoint(tmp_path_factory.mktemp("s3")) as endpoint:
        for name, value in s3_support.KEYS.items():
            patch.setenv(name, value)
        yield endpoint


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis for as long as tests need it, shared with other test runs; marked `only_with_redis`."""
    with use("redis") as surroundings:
        yield surroundings["TWINGRAPH_BROKER_URL"]


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[str]:
    """The URL of a RabbitMQ for as long as tests need it, shared with other test runs; marked `only_with_rabbitmq`."""
    with use("rabbitmq") as surroundings:
        yield surroundings["TWINGRAPH_BROKER_URL"]


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[docker_support.Engine]:
    """A Docker engine for as long as tests need it, named in the environment; marked `only_with_docker`."""
    with pytest.MonkeyPatch.context() as patch, use("docker") as surroundings:
        for name, value in surroundings.items():
            patch.setenv(name, value)
        yield docker_support.Engine(surroundings)


def pytest_configure(config: pytest.Config) -> None:
    _load_the_product_as_it_is(config)
    # A shell that puts a command into the background has it ignore these, and so would all that a test starts.
    for interrupt in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(interrupt) is signal.SIG_IGN:
            signal.signal(interrupt, signal.default_int_handler if interrupt == signal.SIGINT else signal.SIG_DFL)
    config.stash[LEFT_OUT] = []
    # A shared machine may be slow at any moment; what CI finds, the next run of CI must find too.
    hypothesis.settings.register_profile("project", deadline=None, print_blob=True, derandomize=IN_CI)
    hypothesis.settings.load_profile("project")


def _load_the_product_as_it_is(config: pytest.Config) -> None:
    """Because it has a plugin, pytest would parse all of it to rewrite its assertions, also where an engine's thread
    imports a module. Before 3.11.8 Python cannot make trees in two threads at once, see `core/syntax.py`."""
    finder = getattr(config.pluginmanager, "rewrite_hook", None)
    if isinstance(finder, AssertionRewritingHook):
        finder._must_rewrite.discard("twingraph")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this machine cannot run. That is said at the end; it is no skip, which would hide among others."""
    left_out = [(item, reason) for item in items if (reason := _why_not_here(item)) is not None]
    if left_out:
        gone = [item for item, _ in left_out]
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]
        config.stash[LEFT_OUT].extend(f"{item.nodeid}: {reason}" for item, reason in left_out)


def _why_not_here(item: pytest.Item) -> str | None:
    for marker in item.iter_markers("only_where"):
        condition, reason = (*marker.args, *marker.kwargs.values())
        if not condition:
            return str(reason)
    return None


def pytest_sessionfinish(session: pytest.Session) -> None:
    to_parent: dict[str, list[str]] | None = getattr(session.config, "workeroutput", None)
    if to_parent is not None:
        to_parent["left_out"] = session.config.stash[LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """With several test processes each finds the same; the parent tells it once."""
    told = node.config.stash[LEFT_OUT]
    told.extend(line for line in getattr(node, "workeroutput", {}).get("left_out", []) if line not in told)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[LEFT_OUT]:
        terminalreporter.write_line(f"left out on this machine: {line}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Outermost, so that it also sees what `xfail` made of a failure."""
    if not (IN_CI and report.skipped):
        return
    reason = getattr(report, "wasxfail", None) or report.longreprtext
    report.outcome = "failed"
    report.longrepr = f"skipped or expected to fail, which counts as a failure in CI: {reason}"
    if hasattr(report, "wasxfail"):
        del report.wasxfail
