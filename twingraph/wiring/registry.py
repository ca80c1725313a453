"""The runtimes of this process, one for each home and database."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from twingraph.core.errors import PermanentError
from twingraph.executors.context import loading
from twingraph.settings import Settings
from twingraph.settings import load as load_settings
from twingraph.wiring.makers import open_home, read
from twingraph.wiring.running import Runtime

if TYPE_CHECKING:
    from twingraph.engine.reader import Reader

_runtimes: dict[tuple[Path, str | None], Runtime] = {}
_lock = threading.Lock()


def runtime(home: str | None = None, workers: int | None = None, settings: Settings | None = None) -> Runtime:
    """This process's runtime for a home; started at the first call."""
    if loading:
        raise PermanentError(
            f"a workflow is run while a worker loads the code of {loading[-1]}: the statement that runs it also makes "
            "something that the component uses; put the run below `if __name__ == '__main__':` or into a function"
        )
    if settings is None:
        settings = load_settings({"home": home, "workers": workers})
    key = settings.home.absolute(), settings.database_url
    with _lock:
        known = _runtimes.get(key)
        if known is not None and not known.conductor.usable:
            known.close()  # what it held must be seen to be free
            known = None
        if known is None:
            known = _runtimes[key] = Runtime(settings)
        return known


def open_reader(home: str | None = None, settings: Settings | None = None) -> Reader:
    settings = settings or load_settings({"home": home})
    return read(open_home(settings), settings, leaves=True)


def close_all(*, wait: bool = True) -> None:
    """End every runtime of this process; with `wait` only after what was submitted is over."""
    for known in list(_runtimes.values()):
        left = known.unfinished() if wait else []
        if left:
            names = ", ".join(handle.id for handle in left)
            print(f"twingraph: waiting for {len(left)} unfinished execution(s): {names}", file=sys.stderr)
            try:
                for handle in left:
                    handle.wait()
            except KeyboardInterrupt:
                for handle in left:
                    known.interrupt(handle.id, kill=True)
                    handle.wait(10)
        known.close()
    _runtimes.clear()


def _forget_in_child() -> None:
    """A forked child begins anew: neither its end nor its runs touch what its parent holds."""
    global _lock
    _lock = threading.Lock()
    for known in _runtimes.values():
        known.forked()
    _runtimes.clear()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
