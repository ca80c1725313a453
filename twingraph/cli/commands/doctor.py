"""`twingraph doctor`: what is installed, reachable and missing, and how to get it."""

from __future__ import annotations

import argparse

from twingraph.cli.app import App
from twingraph.cli.checks import Check, all_checks
from twingraph.cli.console import Line
from twingraph.cli.errors import COMPLETED, FAILED
from twingraph.cli.words import printable

EXAMPLE = """twingraph doctor
twingraph doctor --json"""

REPORTS_SETTINGS = True  # it goes on where they are broken

_SIGNS = {
    "ok": ("✓", "+", "green"),
    "absent": ("○", "-", "dim"),
    "hint": ("!", "!", "yellow"),
    "broken": ("✗", "x", "red"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes no argument of its own."""


def run(args: argparse.Namespace, app: App) -> int:
    checks = all_checks(app)
    broken = [check for check in checks if check.state == "broken"]
    if args.json:
        app.print_json({"healthy": not broken, "checks": [_document(check) for check in checks]})
    else:
        app.console.say(*_lines(checks, app))
        verdict = f"{len(broken)} broken" if broken else "all that is configured works"
        app.console.note("", [(verdict, "red" if broken else "green")])
    return FAILED if broken else COMPLETED


def _document(check: Check) -> dict[str, str | None]:
    return {"name": check.name, "state": check.state, "message": check.message, "remedy": check.remedy}


def _lines(checks: list[Check], app: App) -> list[Line]:
    wide = max(len(check.name) for check in checks)
    lines: list[Line] = []
    for check in checks:
        icon, plain, colour = _SIGNS[check.state]
        sign = icon if app.console.out.unicode else plain
        lines.append([(f"{sign} ", colour), (check.name.ljust(wide) + "  ", ""), (printable(check.message), "dim")])
        if check.remedy:
            lines.append([(" " * (wide + 4) + check.remedy, "")])
    return lines
