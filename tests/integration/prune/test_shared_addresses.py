"""Two homes, or two databases, that keep their values at one address: nobody takes the other's away."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from twingraph import Workflow, component
from twingraph.core.errors import ConflictError
from twingraph.settings import Settings
from twingraph.store.blobs.catalog import open_blobs
from twingraph.store.prune import Pruned, Retention
from twingraph.wiring.pruning import prune
from twingraph.wiring.running import Runtime


@component
def large(n: int) -> bytes:
    return b"x" * n


def use(settings: Settings) -> None:
    """One run whose value is large."""
    runtime = Runtime(replace(settings, inline=True))
    try:
        handle = runtime.submit(Workflow("w").add_component("large", large).compile(), {"n": 100_000})
        assert handle.wait(30)
        assert handle.error is None
    finally:
        runtime.close()


def pruned(settings: Settings, *, dry_run: bool = False) -> Pruned:
    return prune(settings, Retention(ended_before=time.time()), dry_run=dry_run, progress=lambda *_: None)


@pytest.fixture
def two(tmp_path: Path) -> Callable[[str | None], tuple[Settings, Settings]]:
    def make(url: str | None) -> tuple[Settings, Settings]:
        return Settings(home=tmp_path / "one", blob_url=url), Settings(home=tmp_path / "two", blob_url=url)

    return make


def test_one_home_alone_signs_once_and_is_pruned(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", blob_url=f"file://{tmp_path}/blobs")
    for _ in range(2):
        use(settings)
    (words,) = open_blobs(f"file://{tmp_path}/blobs").users().values()
    assert f"the home {tmp_path}/home on " in words
    assert len(pruned(settings).executions) == 2
    assert open_blobs(f"file://{tmp_path}/blobs").users()  # no prune takes a signature away


def test_two_homes_at_one_address_are_told_and_neither_is_pruned(
    tmp_path: Path, two: Callable[[str | None], tuple[Settings, Settings]]
) -> None:
    one, other = two(f"file://{tmp_path}/blobs")
    use(one)
    use(other)
    for settings, named in ((one, "two"), (other, "one")):
        for dry_run in (True, False):
            with pytest.raises(ConflictError, match=f"the home {tmp_path}/{named} on .* a prune would remove what it"):
                pruned(settings, dry_run=dry_run)
    gone = next(file for file in (tmp_path / "blobs" / "users").iterdir() if "/two on" in file.read_text())
    gone.unlink()  # as the message says
    assert len(pruned(one).executions) == 1


def test_an_address_inside_another_home_is_told_by_both(tmp_path: Path) -> None:
    usual = Settings(home=tmp_path / "one")
    use(usual)
    guest = Settings(home=tmp_path / "two", blob_url=f"file://{tmp_path}/one/blobs")
    use(guest)
    with pytest.raises(ConflictError, match=f"the home {tmp_path}/two on"):
        pruned(usual)
    with pytest.raises(ConflictError, match=f"the records in {tmp_path}/one/twingraph.db have their values too"):
        pruned(guest)


def test_its_own_folder_may_be_said_as_an_address(tmp_path: Path) -> None:
    use(Settings(home=tmp_path / "home"))
    said = Settings(home=tmp_path / "home", blob_url=f"file://{tmp_path}/home/blobs")
    use(said)
    assert len(pruned(said).executions) == 2


def test_a_home_that_had_its_records_itself_before_it_had_a_database(tmp_path: Path, postgres: str) -> None:
    before = Settings(home=tmp_path / "home")
    use(before)
    after = replace(before, database_url=postgres)
    use(after)
    with pytest.raises(ConflictError, match=r"the records in .*twingraph\.db have their values too"):
        pruned(after)
    with pytest.raises(ConflictError, match=r"the PostgreSQL database .* keeps its values at"):
        pruned(before)
    (tmp_path / "home" / "twingraph.db").rename(tmp_path / "old.db")
    assert len(pruned(after).executions) == 1
