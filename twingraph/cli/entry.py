"""From words to an exit code: parse, run the command, say what went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from twingraph.cli import parser
from twingraph.cli.app import App
from twingraph.cli.backend import Backend, WiredBackend
from twingraph.cli.console import Console
from twingraph.cli.errors import COMPLETED, FAILED, INTERRUPTED, WRONG_USE, TargetError, UsageError
from twingraph.core.errors import NotFoundError, TwinGraphError, ValidationError
from twingraph.settings import Settings, SettingsError, load_usable

# Flags that are settings, by what the commands that have them call them.
_LIMITS = ("max_nodes_per_process", "max_memory_per_process", "max_memory")
_FLAGS = ("home", "workers", "dispatch", "broker_url", "lanes", "bodies", *_LIMITS)


def main(argv: Sequence[str] | None = None, *, backend: Backend | None = None, console: Console | None = None) -> int:
    """Run one command. The entry point hands the number to `sys.exit`."""
    console = console or Console.of_process()
    words = list(sys.argv[1:] if argv is None else argv)
    settings: Settings | None = None
    try:
        command, args = parser.parse(words, console)
        given = {key: getattr(args, key, None) for key in _FLAGS}
        settings, problems = load_usable(given, called=getattr(command, "CALLED", None))
        if problems and not getattr(command, "REPORTS_SETTINGS", False):
            raise SettingsError(problems)
        app = App(console=console, settings=settings, backend=backend or WiredBackend(), settings_problems=problems)
        return command.run(args, app)
    except parser.Answered as answered:
        return answered.code
    except BrokenPipeError:
        return _reader_left()
    except KeyboardInterrupt:
        console.note("interrupted")
        return INTERRUPTED
    except TwinGraphError as error:
        return _say(error, console, settings)
    except Exception as error:
        if _debugging(settings):
            raise
        console.note(
            [("internal error: ", "red"), (f"{type(error).__name__}: {error}", "")],
            "  This is a defect of TwinGraph. TWINGRAPH_LOG_LEVEL=debug shows the traceback to report.",
        )
        return FAILED


def _say(error: TwinGraphError, console: Console, settings: Settings | None) -> int:
    if isinstance(error, TargetError):
        console.note(error.traceback.rstrip())
    console.note([("error: ", "red"), (str(error), "")])
    if _debugging(settings):
        import traceback

        console.note("".join(traceback.format_exception(error)).rstrip())
    wrong_use = isinstance(error, (UsageError, NotFoundError, ValidationError))
    return WRONG_USE if wrong_use else FAILED


def _debugging(settings: Settings | None) -> bool:
    if settings is not None:
        return settings.log_level == "debug"
    return False


def _reader_left() -> int:
    """`twingraph logs last | head`: whoever read has seen enough. Nothing may be written at exit either."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):
            os.dup2(nowhere, stream.fileno())
    return COMPLETED
