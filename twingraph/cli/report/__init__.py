"""The report: one HTML page about one execution that needs no network, no server and no other file."""

from __future__ import annotations

from twingraph.cli.report.page import render

__all__ = ["render"]
