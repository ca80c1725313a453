"""`twingraph show ID`: what happened, on the terminal or as one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path

from twingraph.cli.app import App
from twingraph.cli.attend import execution_document
from twingraph.cli.errors import COMPLETED, UsageError
from twingraph.cli.shown_execution import execution_lines
from twingraph.cli.shown_node import node_document, node_lines
from twingraph.core.errors import NotFoundError
from twingraph.core.execution import ExecutionView, NodeView
from twingraph.core.nearest import nearest

EXAMPLE = """twingraph show last
twingraph show last --node load
twingraph show last --html report.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="an execution, or 'last'")
    parser.add_argument("--node", metavar="N", help="one node: its attempts, values, logs and error")
    parser.add_argument("--html", metavar="FILE", help="write one page with graph and timeline that needs no network")


def run(args: argparse.Namespace, app: App) -> int:
    if args.node and args.html:
        raise UsageError("--html is of the whole execution; leave out --node")
    execution_id = app.reader.resolve(args.id)
    view = app.reader.view(execution_id)
    if args.html:
        return _write_page(Path(args.html).expanduser(), view, args, app)
    if args.node:
        node = find_node(view, args.node)
        if args.json:
            app.print_json(node_document(view, node, app))
        else:
            app.console.say(*node_lines(view, node, app))
    elif args.json:
        app.print_json(
            {**execution_document(view, app), "nodes": [node_document(view, node, app) for node in view.nodes]}
        )
    else:
        app.console.say(*execution_lines(view, app.reader.tree(execution_id), app))
    return COMPLETED


def find_node(view: ExecutionView, typed: str) -> NodeView:
    """By id; a component's name will do where only one node is of it."""
    for node in view.nodes:
        if node.id == typed:
            return node
    same = [node for node in view.nodes if node.component == typed]
    if len(same) == 1:
        return same[0]
    near = [node.id for node in same[:3]] or nearest(typed, [node.id for node in view.nodes[:5000]])
    raise NotFoundError(f"{view.record.id} has no node {typed!r}", near=near)


def _write_page(file: Path, view: ExecutionView, args: argparse.Namespace, app: App) -> int:
    # The page's maker is costly to import, and only this asks for it.
    from twingraph.cli.report import render

    page = render(view, app.reader.logs(view.record.id, limit=1000), app.reader.value, now=app.now())
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--html {file}: cannot be written: {error.strerror}") from None
    if args.json:
        app.print_json({**execution_document(view, app), "html": str(file)})
    else:
        app.console.say(str(file))
        app.console.note("  open it in a browser; it needs no network")
    return COMPLETED
