"""Bodies of pipelines as they are recorded: a fresh process makes real pipelines of them, without their files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sdk.slicing.project import Project
from twingraph.core.errors import SliceError
from twingraph.sdk import packing
from twingraph.sdk.body.reach import reachable
from twingraph.sdk.code_table import CodeTable
from twingraph.sdk.sameness import name_body
from twingraph.sdk.signature import entry_of
from twingraph.sdk.slicing import slice_of

ROOT = Path(__file__).parents[4]
START = "from twingraph import BaseComponent, component, pipeline\n"
# What a script does when it starts a pipeline: pack what it reaches. Printed for the fresh process.
PACK = """
import json
from twingraph.sdk import packing
from twingraph.sdk.body.reach import reachable
from twingraph.sdk.code_table import CodeTable
from twingraph.sdk.signature import entry_of

def keys(one):
    found = reachable(one)
    return sorted(map(entry_of, found.components)), sorted(map(entry_of, found.pipelines))

def packed(one):
    table = CodeTable()
    found = reachable(one)
    for component in found.components:
        table.info(component)
    made = packing.pack_pipeline(table.objects, {}, {entry_of(p): p for p in (one, *found.pipelines)})
    return {"entry": entry_of(one), "keys": keys(one), "body": made.body.decode(), "hashes": dict(made.hashes),
            "notes": dict(made.notes)}
"""
LOAD = (
    PACK
    + """
import sys, traceback
from twingraph.executors.slice_loader import load
given = json.load(sys.stdin)
loaded = load(json.loads(given["body"]))
flow = loaded.get(given["entry"])
again = packed(flow)
answers = {"kind": type(flow).__name__, "keys": keys(flow), "hashes": again["hashes"], "entry": again["entry"]}
"""
)
SCRIPT = """
from dataclasses import dataclass
from typing import NamedTuple
from twingraph import BaseComponent, component, pipeline

UNUSED = print("loaded")

@dataclass
class Order:
    n: int

class Out(NamedTuple):
    total: int

LIMIT = 20

@component(timeout=LIMIT)
def price(n: int) -> Out:
    return Out(n)

class Scale(BaseComponent):
    def execute(self, n: int) -> Out:
        return Out(n * self.config["by"])

scale = Scale({"by": 2})
STEPS = {"price": price}

def helper(n):
    return scale(n=n)

@pipeline
def inner(n: int) -> int:
    return flow(Order(n)) if n else helper(n)

@pipeline(max_parallel=3)
def flow(order: Order, *, extra: int = 1) -> Out:
    inner(order.n)
    return STEPS["price"](extra)

"""


def _python(arguments: list[str], folder: Path, text: str = "") -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
        input=text,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _fresh(given: dict[str, Any], folder: Path, code: str = "") -> dict[str, Any]:
    return _python(["-c", LOAD + code + "\nprint(json.dumps(answers))"], folder, json.dumps(given))


@pytest.mark.parametrize("way", ["file", "command", "stdin"])
def test_a_fresh_process_makes_the_same_pipeline(way: str, tmp_path: Path) -> None:
    text = SCRIPT + PACK + "if __name__ == '__main__':\n    print(json.dumps(packed(flow)))\n"
    file = tmp_path / "shop.py"
    file.write_text(text)
    if way == "stdin":
        with file.open() as opened:
            done = subprocess.run(
                [sys.executable, "-"], stdin=opened, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True
            )
        live = json.loads(done.stdout.splitlines()[-1])
    else:
        live = _python(["shop.py"] if way == "file" else ["-c", text], tmp_path)
    file.write_text("raise SystemExit('not this file')\n")
    name = {"file": "shop", "command": "string_main", "stdin": "stdin"}[way]
    assert live["keys"] == [[f"{name}:Scale", f"{name}:price"], [f"{name}:flow", f"{name}:inner"]]
    loaded = _fresh(live, tmp_path)
    assert loaded == {"kind": "Pipeline", **{key: live[key] for key in ("keys", "hashes", "entry")}}
    kept = json.loads(live["body"])["modules"][name]["text"]
    assert "UNUSED" not in kept
    assert "packing" not in kept
    assert "def flow(order: Order, *, extra: int = 1) -> Out:" in kept


def test_a_notebook(tmp_path: Path) -> None:
    cells = [SCRIPT, PACK, "print(json.dumps(packed(flow)))"]
    shell = (
        "import linecache, sys\n"
        f"for number, text in enumerate({cells!r}):\n"
        "    name = f'/tmp/ipykernel_1/{number}.py'\n"
        "    linecache.cache[name] = (len(text), None, text.splitlines(True), name)\n"
        "    exec(compile(text, name, 'exec'), sys.modules['__main__'].__dict__)\n"
    )
    live = _python(["-c", shell], tmp_path)
    assert live["entry"] == "notebook:flow"
    assert _fresh(live, tmp_path)["keys"] == live["keys"]


def test_another_module_and_a_factory(project: Project, tmp_path: Path) -> None:
    project.load("steps", START + "@component\ndef one(n): return n\n@component\ndef other(n): return n\n")
    text = START + PACK + (
        "import steps\n"
        "def make(by, names):\n"
        "    @component\n    def scaled(n: int) -> int:\n        return n * by + len(names)\n"
        "    @pipeline\n    def flow(n: int) -> int:\n"
        "        return steps.one(scaled(n)) if n > 0 else flow(n + 1)\n"
        "    return flow\n"
        "made = {'flow': make(3, ('a',))}\n"
    )  # fmt: skip
    module = project.load("sample", text)
    live = module.packed(module.made["flow"])
    assert live["entry"] == "sample:make.<locals>.flow"
    assert live["keys"] == (["sample:make.<locals>.scaled", "steps:one"], ["sample:make.<locals>.flow"])
    assert "other" not in json.loads(live["body"])["modules"]["steps"]["text"]
    code = (
        "from twingraph.sdk.body.definition import definition_of\n"
        "answers['found'] = definition_of(flow.fn) is not None\n"
    )
    loaded = _fresh(live, tmp_path / "..", code)
    assert loaded["found"]
    assert [loaded["entry"], loaded["hashes"], loaded["keys"]] == [live["entry"], live["hashes"], list(live["keys"])]


def test_components_that_a_recorded_body_makes(project: Project, tmp_path: Path) -> None:
    text = START + PACK + (
        "SCALE = 2\n"
        "@pipeline\ndef flow(n):\n"
        "    @component\n    def dynamic(x): return x * n * SCALE\n"
        "    return dynamic\n"
    )  # fmt: skip
    module = project.load("sample", text)
    late = module.flow.fn(3)
    live = module.packed(module.flow)
    loaded = _fresh(
        live,
        tmp_path,
        "late = flow.fn(3)\nanswers = {'entry': entry_of(late), 'hash': packing.hash_of(late), 'value': late(5),"
        " 'other': packing.hash_of(flow.fn(4))}\n",
    )
    assert loaded["entry"] == entry_of(late) == "sample:flow.<locals>.dynamic"
    assert loaded["hash"] == packing.hash_of(late) != loaded["other"]
    assert loaded["value"] == 30


def test_tracebacks_and_code_that_cannot_be_sliced(project: Project, tmp_path: Path) -> None:
    text = START + PACK + "@pipeline\ndef flow(n: int):\n    raise ValueError(n)  # here\n"
    live = project.load("sample", text).packed(sys.modules["sample"].flow)
    project.write("sample", "\n" * 100)
    shown = "try: flow.fn(1)\nexcept ValueError: answers = {'text': traceback.format_exc()}"
    assert "raise ValueError(n)" in _fresh(live, tmp_path, shown)["text"]
    text = START + PACK + "@pipeline\ndef flow(n):\n    return sorted(globals())\n"
    module = project.load("dynamic", text)
    live = module.packed(module.flow)
    assert "globals()" in live["notes"]["dynamic:flow"]
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    loaded = _python(["-c", code + LOAD + "\nprint(json.dumps(answers))"], tmp_path.parent, json.dumps(live))
    assert loaded["kind"] == "Pipeline"


def test_a_body_that_cannot_be_recorded_says_why(project: Project) -> None:
    text = START + (
        "def make(thing):\n    @pipeline\n    def flow(n): return thing\n    return flow\n"
        "made = [make(object())]\n"
    )  # fmt: skip
    flow = project.load("sample", text).made[0]
    made = packing.pack_bodies({"k": flow})
    assert "free variable 'thing'" in made.notes["k"]
    assert json.loads(made.data)["entries"]["k"]["note"] == made.notes["k"]


def test_a_run_at_the_top_is_not_repeated(project: Project) -> None:
    text = START + (
        "@component\ndef step(n): return n\n"
        "@pipeline\ndef flow(n): return step(n)\n"
        "quick = flow.options(max_parallel=1)\n"
        "def main(): return flow(2)\n"
        "if False: RESULT = main()\n"
        "if False: main()\n"
        "@pipeline\ndef second(n): return quick(n)\n"
        "@pipeline\ndef third(n): return n + RESULT\n"
        "@component\ndef fourth(n): return n + RESULT\n"
    )  # fmt: skip
    module = project.load("sample", text)
    kept = slice_of(module.second, keep_ours=True).modules["sample"].text
    assert "quick = " in kept
    assert "main" not in kept
    for target in (module.third, module.fourth):
        with pytest.raises(SliceError, match=r"sample.py:\d+: this line runs a pipeline and makes RESULT"):
            slice_of(target)


def test_packing_again_only_asks_the_files(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    text = START + "@component\ndef step(n): return n\n@pipeline\ndef flow(n): return step(n)\n"
    module = project.load("sample", text)
    given: tuple[Any, Any, Any] = ({"sample:step": module.step.fn}, {}, {"sample:flow": module.flow})
    first = packing.pack_pipeline(*given)
    with monkeypatch.context() as patch:
        patch.setattr(packing, "slice_of", None)
        second = packing.pack_pipeline(*given)
        assert (second.data, second.body, second.is_fresh()) == (first.data, first.body, True)
        assert packing.hash_of(module.step) == first.hashes["sample:step"]
        assert packing.hash_of(module.flow) == first.hashes["sample:flow"]
    assert packing.code_hashes(first) == {**packing.code_hashes(first.data), **packing.code_hashes(first.body)}
    project.write("sample", text + "# longer\n")
    assert not first.is_fresh()
    assert packing.key_of(*given) == packing.key_of(*given) != packing.key_of(*given[:2])


def test_functions_of_one_name_have_entries_of_their_own(project: Project) -> None:
    text = START + (
        "def make(by):\n    @component\n    def scaled(n): return n * by\n    return scaled\n"
        "ones, twos, again = make(1), make(2), make(1)\n"
    )  # fmt: skip
    module = project.load("sample", text)
    table = CodeTable()
    entries = [table.info(one).entry for one in (module.ones, module.twos, module.again, module.twos)]
    key = "sample:make.<locals>.scaled"
    assert entries == [key, f"{key}#2", key, f"{key}#2"]
    hashes = packing.pack(table.objects).hashes
    assert packing.holds(hashes, key, module.again)
    assert not packing.holds(hashes, key, module.twos)


def test_a_late_component_cannot_close_over_a_result(project: Project) -> None:
    text = START + (
        "def make(given):\n    @component\n    def late(n): return n, given\n    return late\n"
    )  # fmt: skip
    module = project.load("sample", text)
    handle = type("Handle", (), {"__module__": "twingraph.sdk.body.handle"})()
    assert not reachable(module.make(handle)).components
    with pytest.raises(SliceError, match=r"'given' of make.<locals>.late is the result of a call.*pass it as a param"):
        packing.pack({"k": module.make(handle)})
    assert packing.pack({"k": module.make((1, "a"))}).hashes


def test_bodies_of_one_name_are_told_apart_again(project: Project, tmp_path: Path) -> None:
    text = START + (
        "def make(by, after=None):\n"
        "    @component\n    def scaled(n): return n * by\n"
        "    @pipeline\n    def part(n): return after(scaled(n)) if after else scaled(n)\n"
        "    return part\n"
        "ones, twos = make(1), make(2)\n"
        "parts = [ones, twos, make(3, ones), make(4, twos)]\n"
    )  # fmt: skip
    bodies: dict[str, Any] = {}
    keys = [name_body(bodies, one) for one in project.load("sample", text).parts]
    live = {"entry": keys[-1], "body": packing.pack_bodies(bodies).data.decode()}
    code = (
        "from twingraph.sdk.sameness import name_body\n"
        f"bodies = {{key: loaded.get(key) for key in {keys}}}\n"
        "inner = [one.fn.__closure__[one.fn.__code__.co_freevars.index('after')].cell_contents\n"
        "         for one in list(bodies.values())[2:]]\n"
        "answers = {'keys': [name_body(bodies, one) for one in (*bodies.values(), *inner)]}\n"
    )
    assert _fresh(live, tmp_path, code)["keys"] == [*keys, *keys[:2]]
