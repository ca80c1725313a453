"""What a pipeline's body may call is found before it begins."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.unit.sdk.slicing.project import Project
from twingraph.sdk.body.reach import Reached, reachable
from twingraph.sdk.signature import entry_of

START = "from twingraph import BaseComponent, component, pipeline\n"
STEPS = "".join(f"@component\ndef {name}(x): return x\n" for name in ("a", "b", "c"))


def _keys(found: Reached) -> tuple[set[str], set[str], set[str]]:
    components, pipelines = set(map(entry_of, found.components)), set(map(entry_of, found.pipelines))
    return components, pipelines, {kind.__name__ for kind in found.classes}


def _of(project: Project, text: str, name: str = "flow") -> tuple[set[str], set[str], set[str]]:
    return _keys(reachable(getattr(project.load("sample", START + STEPS + text), name)))


def test_helpers_defaults_closures_and_containers(project: Project) -> None:
    text = (
        "def helper(x): return b(x)\n"
        "TABLE = {'first': [a]}\n"
        "def make(step):\n"
        "    @pipeline\n    def flow(x, last=c): return helper(TABLE['first'][0](last(step(x))))\n"
        "    return flow\n"
        "@component\ndef unused(x): return x\n"
        "@component\ndef given(x): return x\n"
        "flow = make(given)\n"
    )
    assert _of(project, text)[0] == {"sample:a", "sample:b", "sample:c", "sample:given"}


def test_another_module_is_asked_for_what_is_mentioned(project: Project) -> None:
    project.load("steps", START + "@component\ndef one(x): return x\n@component\ndef other(x): return x\n")
    project.load("more", "import steps\ndef helper(x): return steps.other(x)\n")
    text = (
        "import steps, more\nfrom types import SimpleNamespace\n"
        "NAMES = SimpleNamespace(step=a)\n"
        "@pipeline\ndef flow(x): return steps.one(NAMES.step(x))\n"
        "@pipeline\ndef late(x):\n    import more\n    return more.helper(x)\n"
    )
    assert _of(project, text)[0] == {"sample:a", "steps:one"}
    assert _of(project, text, "late")[0] == {"steps:other"}


def test_pipelines_in_pipelines_and_recursion(project: Project) -> None:
    text = (
        "@pipeline\ndef inner(x): return flow(b(x)) if x else x\n"
        "@pipeline\ndef flow(x):\n    def own(y): return c(y)\n    return inner(a(x))\n"
        "quick = flow.options(max_parallel=1)\n"
    )
    components, pipelines, _ = _of(project, text)
    assert components == {"sample:a", "sample:b", "sample:c"}
    assert pipelines == {"sample:inner", "sample:flow"}
    assert _of(project, text, "quick")[0] == components


def test_classes_as_components_and_as_values(project: Project) -> None:
    text = (
        "import enum\nfrom dataclasses import dataclass\nfrom typing import NamedTuple\n"
        "class Step(BaseComponent):\n    def execute(self, x): return x\n"
        "ready = Step({'k': 1})\n"
        "@dataclass\nclass Row:\n    n: int = 0\n    def save(self): return c(self.n)\n"
        "class Pair(NamedTuple):\n    n: int\n"
        "class Colour(enum.Enum):\n    RED = 1\n"
        "class Wrong(Exception): pass\n"
        "class Tool:\n    def use(self, x): return b(x)\n"
        "TOOL = Tool()\n"
        "@pipeline\ndef flow(x):\n"
        "    try: return Step({})(x=Row(1)), ready(x=Pair(2)), Colour.RED, TOOL.use(x)\n"
        "    except Wrong: return None\n"
    )
    components, _, classes = _of(project, text)
    assert components == {"sample:Step", "sample:b", "sample:c"}
    assert classes == {"Row", "Pair", "Colour", "Wrong"}


def test_wrapped_and_partial_helpers(project: Project) -> None:
    text = (
        "import functools\n"
        "def own(f):\n    @functools.wraps(f)\n    def wrapped(*args): return f(*args)\n    return wrapped\n"
        "@own\ndef one(x): return a(x)\n"
        "@functools.lru_cache\ndef two(x): return b(x)\n"
        "three = functools.partial(c, x=1)\n"
        "@pipeline\ndef flow(x): return one(two(three()))\n"
    )
    assert _of(project, text)[0] == {"sample:a", "sample:b", "sample:c"}


def test_handles_and_proxies_are_not_asked(project: Project) -> None:
    class Proxy:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    module = project.load(
        "sample", START + STEPS + "DATA = list(range(5000))\n@pipeline\ndef flow(x): return P, DATA\n"
    )
    vars(module)["P"] = Proxy()
    assert _keys(reachable(module.flow)) == (set(), set(), set())


@pytest.mark.soak
def test_it_takes_less_than_a_millisecond(project: Project) -> None:
    text = "".join(f"def helper{n}(x): return a(b(c(x)))\n" for n in range(10))
    text += "@pipeline\ndef flow(x):\n" + "".join(f"    x = helper{n}(x)\n" for n in range(10)) + "    return x\n"
    flow = project.load("sample", START + STEPS + text).flow
    reachable(flow)
    fastest = 1.0
    for _ in range(20):
        begun = time.perf_counter()
        reachable(flow)
        fastest = min(fastest, time.perf_counter() - begun)
    assert fastest < 0.001
