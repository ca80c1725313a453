"""The installed packages that an execution's code uses: noted when it starts, sought again when it is resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping

# What is asked of another interpreter: which of these packages it cannot find.
_PROBE = """
import importlib.util, json, sys
sys.path[:] = json.loads(sys.argv[2])
print(json.dumps([name for name in json.loads(sys.argv[1]) if importlib.util.find_spec(name) is None]))
"""


def installed(packages: Iterable[str]) -> dict[str, dict[str, str]]:
    """Import name to the distribution that brings it and its version; what no distribution brings is left out."""
    wanted = sorted({name for name in packages if name not in sys.stdlib_module_names and name != "twingraph"})
    if not wanted:
        return {}
    # Imported here: it costs a run that uses no package at all a tenth of its time.
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    found: dict[str, dict[str, str]] = {}
    providers: Mapping[str, list[str]] | None = None
    for name in wanted:
        try:
            found[name] = {"name": name, "version": version(name)}
        except PackageNotFoundError:  # named otherwise than its module: only a look at all of them tells
            providers = packages_distributions() if providers is None else providers
            for provider in providers.get(name, [])[:1]:
                found[name] = {"name": provider, "version": version(provider)}
    return found


def missing(known: Mapping[str, Mapping[str, str]], interpreter: str, sys_path: Iterable[str]) -> list[str]:
    """Requirements, as pip takes them, that this interpreter no longer has."""
    if not known:
        return []
    if os.path.realpath(interpreter) == os.path.realpath(sys.executable) and sys.prefix in os.path.dirname(interpreter):
        from importlib.util import find_spec

        gone = [name for name in known if find_spec(name) is None]
    else:
        command = [interpreter, "-c", _PROBE, json.dumps(list(known)), json.dumps(list(sys_path))]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        gone = _names(answer.stdout) if answer.returncode == 0 else []
    return [f"{known[name]['name']}=={known[name]['version']}" for name in gone if name in known]


def _names(said: str) -> list[str]:
    """The last line; what stands before is said by whatever that interpreter loads at its start."""
    try:
        read = json.loads(said.strip().rpartition("\n")[2])
    except (ValueError, RecursionError):
        return []
    return [name for name in read if isinstance(name, str)] if isinstance(read, list) else []
