"""Processes that are started before anybody has asked for one."""

from __future__ import annotations

import sys
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from twingraph.dispatch import spawner
from twingraph.dispatch.host_process import _end


def test_whoever_asks_for_that_folder_takes_it(tmp_path: Path) -> None:
    found: SimpleQueue[Any] = SimpleQueue()
    spawner.start_ahead(folder=str(tmp_path))
    spawner.in_spawner_thread(lambda: found.put([one.started for one in spawner._ahead if one.folder == str(tmp_path)]))
    spawner.in_spawner_thread(lambda: found.put(spawner.take(sys.executable, str(tmp_path))))
    (ahead,), taken = found.get(timeout=30), found.get(timeout=30)
    try:
        assert taken is ahead
    finally:
        _end(taken)


def test_a_folder_that_is_gone_is_nobodys_error_yet(tmp_path: Path) -> None:
    found: SimpleQueue[Any] = SimpleQueue()
    spawner.start_ahead(folder=str(tmp_path / "gone"))
    spawner.in_spawner_thread(lambda: found.put([one.folder for one in spawner._ahead]))
    assert str(tmp_path / "gone") not in found.get(timeout=30)
