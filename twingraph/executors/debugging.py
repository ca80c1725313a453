"""User code under a debugger, where it owns a terminal."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from twingraph.executors import runner

# Is told of an exception that user code let out, before anything is made of it.
OnError = Callable[[BaseException], None]


def watched(find: Callable[[], Any], config: Any, on_error: OnError) -> Callable[[], Any]:
    """The same code; where it fails, the debugger is asked first."""

    def found() -> Any:
        target = find()

        def run(**values: Any) -> Any:
            try:
                return runner.call(target, values, config)
            except BaseException as error:
                on_error(error)
                raise

        return run

    return found


def post_mortem(error: BaseException) -> None:
    """pdb at the line that raised."""
    import pdb  # noqa: T100 - this is what it is for
    import sys

    sys.stdout.flush()  # what the code has printed stands before what is said about it
    print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
    print("pdb: w where, u up, d down, p EXPRESSION, q leaves", file=sys.stderr)
    pdb.post_mortem(_of_the_user(error.__traceback__))
    if not sys.stdin.isatty():  # nobody has typed the end of the last line
        print(flush=True)


def _of_the_user(traceback: TracebackType | None) -> TracebackType | None:
    """From the first frame of user code on."""
    step = traceback
    while step is not None and runner.is_own(step.tb_frame.f_code.co_filename):
        step = step.tb_next
    return step or traceback
