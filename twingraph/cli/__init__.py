"""The command line: words in, words out. Every decision is made elsewhere.

Here belong the commands, how they draw a run on a terminal, and the HTML report. `main` is the entry point.
"""

from __future__ import annotations

from twingraph.cli.entry import main

__all__ = ["main"]
