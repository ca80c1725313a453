"""The loader alone, on Python 3.8, without twingraph."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.conformance.slices.interpreters import interpreter
from tests.unit.sdk.slicing.project import Project
from twingraph.core import errors
from twingraph.sdk.slicing import bundle

LOADER = Path(__file__).parents[4] / "twingraph" / "executors" / "slice_loader.py"
START = """
import importlib.util, json, sys, traceback
spec = importlib.util.spec_from_file_location('slice_loader', sys.argv[1])
loader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loader)
loaded = loader.load(json.load(sys.stdin))
"""


def _remote(made: dict[str, Any], code: str, folder: Path, *, version: tuple[int, int] = (3, 8)) -> str:
    done = subprocess.run(
        [interpreter(version), "-I", "-c", START + code, str(LOADER)],
        input=json.dumps(made),
        text=True,
        capture_output=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _record(text: str, **more: Any) -> dict[str, Any]:
    return {"file": "/gone/sample.py", "text": text, "package": False, "main": False, "search": [], **more}


def _entry(name: str, **more: Any) -> dict[str, Any]:
    return {
        "mode": "slice",
        "module": "sample",
        "name": name,
        "factory": None,
        "closure": {},
        "file": "",
        "main": False,
        **more,
    }


def test_the_stand_in_serves_code_that_mentions_twingraph(tmp_path: Path) -> None:
    text = (
        "import twingraph\nfrom twingraph import BaseComponent, component\n"
        "from twingraph.errors import PermanentError\n"
        "class A(BaseComponent):\n    @component(timeout=3)\n    def execute(self): return self.config['a']\n"
        "@component\ndef f(): raise PermanentError('no')\n"
    )
    made = {"format": 1, "modules": {"sample": _record(text)}, "entries": {"a": _entry("A"), "f": _entry("f")}}
    code = (
        "print(loaded.get('a')({'a': 7}).execute())\ntry: loaded.get('f')()\n"
        "except Exception as e: print(type(e).__mro__[1].__name__, e)\n"
    )
    assert _remote(made, code, tmp_path).split("\n") == ["7", "TwinGraphError no"]


def test_the_errors_of_the_stand_in_are_named_as_the_true_ones(tmp_path: Path) -> None:
    names = ["TwinGraphError", "PermanentError", "CodecError"]
    text = f"from twingraph.core.errors import {', '.join(names)}\ndef f(): return {', '.join(names)}\n"
    made = {"format": 1, "modules": {"sample": _record(text)}, "entries": {"f": _entry("f")}}
    found = _remote(made, "for e in loaded.get('f')(): print(e.__module__ + '.' + e.__qualname__)\n", tmp_path)
    assert found.split("\n") == [f"twingraph.core.errors.{name}" for name in names]
    assert all(vars(errors)[name].__module__ == errors.__name__ for name in names)


def test_what_only_bodies_use_refuses_where_twingraph_is_not_there(tmp_path: Path) -> None:
    names = "gather, wait_any, as_completed, sleep, now, random, uuid4, side_effect, wait_for_signal"
    text = (
        f"import twingraph\nfrom twingraph import pipeline, {names}\n"
        "@pipeline\ndef a(): pass\n@pipeline(max_parallel=2)\ndef b(): pass\n"
        f"def f():\n    for one in ({names}, twingraph.sleep):\n"
        "        try: one(1)\n        except RuntimeError as e: print(str(e).split(':')[0])\n"
        "    return a.__name__ + b.__name__\n"
    )
    made = {"format": 1, "modules": {"sample": _record(text)}, "entries": {"f": _entry("f")}}
    lines = _remote(made, "print(loaded.get('f')())", tmp_path).split("\n")
    assert lines == [*(f"twingraph.{name} is not there" for name in [*names.split(", "), "sleep"]), "ab"]


def test_tracebacks_show_the_users_lines(tmp_path: Path) -> None:
    made = {
        "format": 1,
        "modules": {"sample": _record("\n\ndef f():\n    raise ValueError('here')\n")},
        "entries": {"f": _entry("f")},
    }
    shown = _remote(made, "try: loaded.get('f')()\nexcept ValueError: print(traceback.format_exc())", tmp_path)
    assert "File \"/gone/sample.py\", line 4, in f\n    raise ValueError('here')" in shown


def test_a_module_loaded_before_gives_way(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text("def f(): return 'disk'\n")
    made = {"format": 1, "modules": {"sample": _record("def f(): return 'bundle'\n")}, "entries": {"f": _entry("f")}}
    code = "print(loaded.get('f')(), loaded.get('f') is loaded.get('f'))"
    before = f"sys.path.insert(0, {str(tmp_path)!r}); import sample\n"
    before += f"loaded = loader.load(json.loads({json.dumps(made)!r}))\n"
    assert _remote(made, before + code, tmp_path) == "bundle True"


def test_another_format_is_refused(tmp_path: Path) -> None:
    code = "try: loader.Loaded({'format': 9})\nexcept ImportError as e: print(e)"
    made: dict[str, Any] = {"format": 1, "modules": {}, "entries": {}}
    assert _remote(made, code, tmp_path) == "this bundle has format 9, this loader reads 1"


def test_slices_of_one_module_are_joined(project: Project, tmp_path: Path) -> None:
    text = (
        "from os.path import (\n    basename, dirname as up)\nLOG = []\n"
        "def a(x): LOG.append(x); return basename(x), LOG\n"
        "def b(x): return up(x), LOG\n"
    )
    made = bundle({"a": project.slice(text, "a"), "b": project.slice(text, "b")})
    code = "print(loaded.get('a')('/x/y'), loaded.get('b')('/x/y'))"
    assert _remote(made, code, tmp_path) == "('y', ['/x/y']) ('/x', ['/x/y'])"


def test_nested_functions_and_their_free_variables(project: Project, tmp_path: Path) -> None:
    text = (
        "import json\nSCALE = 2\ndef helper(n): return n * SCALE\n"
        "def make(k, names, tool):\n"
        "    def inside(n):\n        return n + k\n"
        "    def run(n: int, default=k, *, key=names) -> str:\n"
        "        return tool.dumps([inside(n), helper(n), default, key, run.__name__])\n"
        "    return run\n"
        "made = [make(3, ('a', 'b'), json), lambda n: n * SCALE]\n"
    )
    module = project.load("sample", text)
    from twingraph.sdk.slicing import slice_of

    made = bundle({"run": slice_of(module.made[0]), "lambda": slice_of(module.made[1])})
    code = "print(loaded.get('run')(1), loaded.get('lambda')(4))"
    assert _remote(made, code, tmp_path) == '[4, 2, 3, ["a", "b"], "run"] 8'


def test_code_that_cannot_be_sliced_is_imported(project: Project, tmp_path: Path) -> None:
    project.write("neighbour", "def word(): return 'real'\ndef unused(): return 1\n")
    dynamic = project.slice("from neighbour import word\ndef run(): return word(), sorted(globals())[-1]\n")
    pruned = project.slice("import neighbour\ndef run(): return neighbour.word()\n", name="other")
    made = bundle({"dynamic": dynamic, "pruned": pruned})
    code = (
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "print(loaded.get('pruned')(), loaded.get('dynamic')(), hasattr(sys.modules['neighbour'], 'unused'))"
    )
    assert _remote(made, code, tmp_path) == "real ('real', 'word') False"


def test_the_stand_in_refuses_what_it_lacks_only_when_called(tmp_path: Path) -> None:
    text = "from twingraph import sleep\ndef f(): sleep(1)\n"
    made = {"format": 1, "modules": {"sample": _record(text)}, "entries": {"f": _entry("f")}}
    code = "f = loaded.get('f')\ntry: f()\nexcept RuntimeError as e: print(e)"
    assert _remote(made, code, tmp_path).startswith("twingraph.sleep is not there")
