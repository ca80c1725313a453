"""Inputs as people type them: `-i key=value`, and a file of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twingraph.cli.errors import UsageError


def read_inputs(pairs: Sequence[str], file: str | None) -> dict[str, Any]:
    """The file's inputs, then those of the command line, which win."""
    problems: list[str] = []
    inputs = dict(_read_file(file)) if file is not None else {}
    given: set[str] = set()
    for pair in pairs:
        key, text = named(pair)
        if not key or text is None:
            problems.append(f"-i {pair}: give key=value")
        elif key in given:
            problems.append(f"-i {pair}: {key!r} is given twice")
        else:
            given.add(key)
            inputs[key] = read_value(text)
    if problems:
        raise UsageError(problems[0] if len(problems) == 1 else "inputs:\n  " + "\n  ".join(problems))
    return inputs


def named(pair: str, *, item: bool = False) -> tuple[str, str | None]:
    """The name before the first `=`, and what stands after that; None without one.

    A name that holds a `=` itself stands in double quotes, as in `'"a=b"=1'`. With `item` it may be that of an item,
    which ends with a bracket, so that its key may hold one.
    """
    if pair.lstrip().startswith('"'):
        try:
            name, end = json.JSONDecoder().raw_decode(pair.lstrip())
        except ValueError:
            return "", None
        left = pair.lstrip()[end:].lstrip()
        return (name, left[1:]) if left.startswith("=") else ("", None)
    head, bracket, tail = pair.partition("]=")
    if item and bracket and "[" in head.partition("=")[0]:
        return head.strip() + "]", tail
    name, equals, text = pair.partition("=")
    return name.strip(), text if equals else None


def read_value(text: str) -> Any:
    """JSON when it parses, else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _read_file(file: str) -> Mapping[str, Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).expanduser().read_text(encoding="utf-8")
        read = json.loads(text)
    except FileNotFoundError:
        raise UsageError(f"-f {file}: there is no such file") from None
    except OSError as error:
        raise UsageError(f"-f {file}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"-f {file}: is not JSON: {error}") from None
    if not isinstance(read, dict):
        raise UsageError(f'-f {file}: must hold one JSON object, as in {{"key": "value"}}')
    return read


def inputs_of(compiled: Any) -> list[str]:
    """What a workflow or a pipeline takes, one line each."""
    if not hasattr(compiled, "parameters"):
        return describe_inputs(plan_of(compiled).inputs, getattr(compiled, "checks", {}))
    checks = {one.name: one.accepts for one in compiled.parameters if one.accepts is not None}
    return describe_inputs({one.name: {"required": one.required} for one in compiled.parameters}, checks)


def plan_of(compiled: Any) -> Any:
    """The plan, whether compiling gives it bare or together with the code."""
    return getattr(compiled, "plan", compiled)


def describe_inputs(known: Mapping[str, Any], checks: Mapping[str, Any]) -> list[str]:
    """The inputs of a plan, one line each: name, type, and whether it must be given."""
    lines = []
    for name, about in known.items():
        schema = about.get("schema") or {}
        # What is said of a value that can be of no type that anybody asks for.
        annotated = checks[name](object()) if name in checks else None
        kind = (schema.get("type") if isinstance(schema, Mapping) else None) or annotated or "any value"
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        default = about.get("default")
        need = (
            "required" if about.get("required", True) else f"default {default}" if default is not None else "optional"
        )
        lines.append(f"{name}: {kind}, {need}")
    return lines
