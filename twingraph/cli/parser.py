"""The grammar. Only the command that was asked for is imported, so that `--version` costs nothing."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import NoReturn, Protocol, cast

from twingraph.cli.app import App
from twingraph.cli.console import Console
from twingraph.cli.errors import COMPLETED, WRONG_USE
from twingraph.core.nearest import did_you_mean

COMMANDS = {
    "new": "write a small workflow file to begin with",
    "run": "run a pipeline, a workflow or a component, and show it",
    "show": "look at an execution: tree, values, errors, or one HTML page",
    "plan": "say what would run, and where, without running it",
    "executions": "list what has run, newest first",
    "logs": "print what nodes printed and logged",
    "resume": "go on with an execution that stopped or failed",
    "replay": "run what has ended, or a part of it, again",
    "pause": "start nothing new of an execution",
    "cancel": "stop an execution for good",
    "signal": "give an execution what it waits for",
    "prune": "remove old executions, and what nothing refers to any more",
    "worker": "carry nodes out that conductors send through a broker",
    "status": "say which workers there are, and what runs where",
    "doctor": "say what is installed, reachable and missing",
}

_FIRST_STEPS = """first steps:
  twingraph new hello         write hello.py
  twingraph run hello.py      run it
  twingraph show last         look at what happened

Each command explains itself: twingraph run --help"""


class Command(Protocol):
    """A module of `twingraph.cli.commands`."""

    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace, app: App) -> int: ...


class Answered(Exception):  # noqa: N818 - help, a version or a wrong word was answered; nothing is left to do
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Parser(argparse.ArgumentParser):
    """argparse that writes to the console it is given and never ends the process."""

    console: Console

    def error(self, message: str) -> NoReturn:
        self.console.note(
            [("error: ", "red"), (message, "")], f"  {self.format_usage().strip()}", f"  help: {self.prog} --help"
        )
        raise Answered(WRONG_USE)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            self.console.note(message.rstrip())
        raise Answered(status)

    def print_help(self, file: object = None) -> None:
        self.console.say(self.format_help().rstrip())


def parse(words: Sequence[str], console: Console) -> tuple[Command, argparse.Namespace]:
    first = words[0] if words else "--help"
    if first in ("-h", "--help", "help"):
        return parse([words[1], "--help"], console) if first == "help" and len(words) > 1 else _overview(console)
    if first in ("--version", "-V"):
        console.say(f"twingraph {version()}")
        raise Answered(COMPLETED)
    if first not in COMMANDS:
        kind = "an option" if first.startswith("-") else "a command"
        console.note([("error: ", "red"), (f"{first!r} is not {kind}; {did_you_mean(first, COMMANDS)}", "")])
        console.note("  help: twingraph --help")
        raise Answered(WRONG_USE)
    command = cast(Command, importlib.import_module(f"twingraph.cli.commands.{first}"))
    parser = _parser_of(first, command, console)
    return command, parser.parse_intermixed_args(list(words[1:]))


def version() -> str:
    """Of the installed distribution; a bare checkout has none."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("twingraph")
    except PackageNotFoundError:
        return "(not installed)"


def _parser_of(name: str, command: Command, console: Console) -> Parser:
    parser = Parser(
        prog=f"twingraph {name}",
        description=COMMANDS[name][0].upper() + COMMANDS[name][1:] + ".",
        epilog=f"example:\n{_indented(command.EXAMPLE)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.console = console
    command.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    parser.add_argument("--home", metavar="DIR", help="the folder with all executions (TWINGRAPH_HOME)")
    return parser


def _overview(console: Console) -> NoReturn:
    width = max(map(len, COMMANDS))
    console.say(
        [("twingraph", "bold"), (": plain Python functions, run durably and remembered as a graph", "")],
        "",
        "usage: twingraph COMMAND [...]",
        "",
        *[[(f"  {name.ljust(width)}  ", "cyan"), (summary, "")] for name, summary in COMMANDS.items()],
        "",
        _FIRST_STEPS,
    )
    raise Answered(COMPLETED)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())
