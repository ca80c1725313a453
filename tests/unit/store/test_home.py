"""The home folder: made by whoever comes first, refused where it cannot work."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from twingraph.core.errors import HomeError
from twingraph.store import home as homes
from twingraph.store.home import Home, file_system
from twingraph.store.locks import FileLock, is_held

MOUNTS = """
/dev/sda1 / ext4 rw 0 0
server:/export /mnt/share nfs4 rw 0 0
/dev/sdb1 /mnt/share/local xfs rw 0 0
server:/docs /mnt/my\\040docs cifs rw 0 0
short
"""


def test_a_home_is_made_with_its_parents_for_its_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b").open()
    assert {entry.name for entry in home.path.iterdir()} == {"blobs", "run", "home.lock"}
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    home.close()


@pytest.mark.parametrize("name", ["home", "home/below"])
def test_a_file_in_the_way_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "home").write_text("mine")
    with pytest.raises(HomeError, match=r"home.*TWINGRAPH_HOME"):
        Home(tmp_path / name).open()


def test_a_lock_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "home.lock").mkdir()
    with pytest.raises(HomeError, match=r"cannot be written.*make it writable"):
        Home(tmp_path).open()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me", "ext4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/runs", "nfs4"),
        ("/mnt/shared", "ext4"),
        ("/mnt/share/local/runs", "xfs"),
        ("/mnt/my docs/runs", "cifs"),
    ],
)
def test_the_innermost_mount_tells_the_file_system(path: str, kind: str) -> None:
    assert file_system(path, MOUNTS) == kind


def test_a_network_file_system_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "_mounts", lambda: f"server:/export {os.path.realpath(tmp_path)} nfs4 rw 0 0\n")
    with pytest.raises(HomeError, match=r"lies on nfs4, a network file system.*TWINGRAPH_HOME"):
        Home(tmp_path / "home").open()


def test_without_a_list_of_mounts_nothing_is_refused() -> None:
    assert file_system("/home/me", "") is None


def test_the_secret_stays_the_same_and_private(tmp_path: Path) -> None:
    home = Home(tmp_path).open()
    assert home.secret() == Home(tmp_path).secret()
    assert len(home.secret()) == 32
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    home.close()


def test_a_conductor_lives_as_long_as_its_lock(tmp_path: Path) -> None:
    home = Home(tmp_path).open()
    lock = FileLock(home.run / "me.lock")
    assert not home.conductor_lives("me")
    lock.take()
    assert home.conductor_lives("me")
    lock.release()
    assert not home.conductor_lives("me")
    home.close()


def test_asking_whether_a_lock_is_held_looks_like_no_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    asking = FileLock(path)
    assert asking.take(shared=True, wait=False)  # somebody who asks just now
    assert not is_held(path)
    asking.release()


def test_a_shared_lock_keeps_out_who_wants_to_be_alone(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.take(shared=True)
    assert second.take(shared=True, wait=False)
    assert not second.take(wait=False)
    first.release()
    assert second.take(wait=False)
    second.release()


def test_long_dead_conductors_are_forgotten_and_living_ones_never(tmp_path: Path) -> None:
    home = Home(tmp_path).open()
    living = FileLock(home.run / "living.lock")
    living.take()
    for name in ("dead", "young"):
        (home.run / f"{name}.lock").touch()
    for name in ("dead", "living"):
        os.utime(home.run / f"{name}.lock", (0, 0))
    Home(tmp_path).open().close()
    assert {entry.name for entry in home.run.iterdir()} == {"living.lock", "young.lock"}
    living.release()
    home.close()
