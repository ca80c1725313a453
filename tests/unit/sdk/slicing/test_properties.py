"""Any module: its slice does what the module does, and knows nothing of what is not used."""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sdk.slicing.project import Project
from twingraph.executors.slice_loader import Loaded
from twingraph.sdk.slicing import Slice
from twingraph.sdk.slicing.bundling import bundle

many = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

# How a name of each kind is used, beside an `x` that is a number.
USES = {
    "number": "{0}", "function": "{0}(2)", "list": "sum({0})", "table": "sum({0}.values())", "class": "{0}(3).m()",
    "module": "{0}.floor(2.5)", "wrapper": "{0}(abs)(-2)", "counter": "{0}()",
}  # fmt: skip
# A statement or some that bind a name; `{n}` is the name and `{e}` is worked out from what stands above.
MAKES = {
    "number": ["{n} = {e}", "{n}: int = {e}", "{n}, _{n} = {e}, 2", "_{n} = {n} = {e}", "{n} = 0\n{n} += {e}",
               "if {e} % 2:\n    {n} = 1\nelse:\n    {n} = {e}", "with open(__file__):\n    {n} = {e}",
               "try:\n    {n} = no_such_name\nexcept NameError:\n    {n} = {e}", "assert ({n} := {e}) is not None",
               "{n} = [i for i in range(3) if i][-1] + {e}", "from math import floor\n{n} = floor({e})"],
    "function": ["def {n}(x, y=1):\n    return x + y + {e}", "def {n}(x, y={e}):\n    return x * y",
                 "{n} = lambda x: x + {e}", "def {n}(x):\n    def inner():\n        return x + {e}\n    return inner()",
                 "def {n}(x):\n    from math import ceil\n    return ceil(x) + {e}",
                 "def _{n}(x):\n    return x + {e}\n{n} = _{n}"],
    "list": ["{n} = [1]\n{n}.append({e})", "{n} = []\nfor _ in range(2):\n    {n}.append({e})",
             "{n} = [{e}]\n{n}[0] += 1", "{n} = [*range(3), {e}]\ndel {n}[0]"],
    "table": ["{n} = {{}}\n{n}['a'] = {e}", "{n} = {{i: {e} for i in range(2)}}\n{n}.update(z=1)"],
    "class": ["class {n}:\n    k = {e}\n    def __init__(self, x): self.x = x\n    def m(self): return self.x + self.k",
              "class _{n}:\n    def m(self): return self.x + {e}\nclass {n}(_{n}):\n"
              "    def __init__(self, x): self.x = x",
              "from dataclasses import dataclass\n@dataclass\nclass {n}:\n    x: int\n"
              "    def m(self): return {e} + self.x"],
    "module": ["import math as {n}", "import os, math\n{n} = math"],
    "wrapper": ["def {n}(wrapped):\n    def inner(x): return wrapped(x) + {e}\n    return inner"],
    "counter": ["_{n} = {e}\ndef {n}():\n    global _{n}\n    _{n} += 1\n    return _{n}"],
}  # fmt: skip
# What nobody uses, and what would be seen if it ran.
NOISE = [
    "UNUSED = {e}",
    "def UNUSED():\n    return {e}",
    "class UNUSED:\n    k = {e}",
    "UNUSED = [{e}]\nUNUSED.append(1)",
    "import colorsys as UNUSED",
    "UNUSED = {{}}\nfor UNUSED_I in range(2):\n    UNUSED[UNUSED_I] = {e}",
]


class Author:
    """Writes a module from top to bottom."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.names: dict[str, str] = {}
        self.lines: list[str] = []
        self.noisy: list[str] = []  # the same with what nobody uses

    def expression(self) -> str:
        used = self.draw(st.lists(st.sampled_from(sorted(self.names)), max_size=2)) if self.names else []
        return " + ".join([str(self.draw(st.integers(0, 9))), *(USES[self.names[name]].format(name) for name in used)])

    def write(self, text: str) -> None:
        self.lines.append(text)
        self.noisy.append(text)

    def statement(self, number: int) -> None:
        kind = self.draw(st.sampled_from(sorted(MAKES)))
        numbers = [name for name, known in self.names.items() if known == "number"]
        if numbers and self.draw(st.integers(0, 4)) == 0:  # a name that is bound again
            name, kind = self.draw(st.sampled_from(numbers)), "number"
        else:
            name = f"{kind}{number}"
        made = self.draw(st.sampled_from(MAKES[kind])).format(n=name, e=self.expression())
        wrappers = [known for known, what in self.names.items() if what == "wrapper"]
        if made.startswith("def ") and kind == "function" and wrappers and self.draw(st.booleans()):
            made = f"@{self.draw(st.sampled_from(wrappers))}\n{made}"
        self.write(made)
        self.names[name] = kind
        if self.draw(st.booleans()):
            counts = "counter" in self.names.values()  # who calls one changes what others see, and is kept
            unused = self.draw(st.sampled_from(NOISE)).format(e="1" if counts else self.expression())
            self.noisy.append(unused.replace("UNUSED", f"UNUSED{number}"))


@st.composite
def modules(draw: st.DrawFn) -> tuple[str, str]:
    author = Author(draw)
    for number in range(draw(st.integers(1, 8))):
        author.statement(number)
    author.write(f"def run(x):\n    return [x, {author.expression()}, {author.expression()}]")
    return "\n".join(author.lines) + "\n", "\n".join(author.noisy) + "\n"


@contextmanager
def loaded(found: Slice) -> Iterator[Loaded]:
    """As a worker loads it, and gone afterwards."""
    lines = dict(linecache.cache)
    made = Loaded(bundle({"run": found}))
    made.install()
    try:
        yield made
    finally:
        made.withdraw()
        linecache.cache.clear()
        linecache.cache.update(lines)


@many
@given(modules())
def test_a_slice_gives_what_its_module_gives(project: Project, texts: tuple[str, str]) -> None:
    found = project.slice(texts[1])
    with loaded(found) as there:
        assert there.get("run").__module__ == "sample"
        result = there.get("run")(5)
    assert result == sys.modules["sample"].run(5)


@many
@given(modules())
def test_what_nobody_uses_is_neither_kept_nor_hashed(project: Project, texts: tuple[str, str]) -> None:
    plain, noisy = texts
    with_noise = project.slice(noisy)
    assert "UNUSED" not in with_noise.modules["sample"].text
    assert project.slice(plain).code_hash == with_noise.code_hash


@many
@given(modules(), st.integers(0, 3))
def test_its_hash_is_that_of_the_code_and_not_of_its_looks(
    project: Project, texts: tuple[str, str], lines: int
) -> None:
    text = texts[0]
    looks = "# a remark\n" * lines + ast.unparse(ast.parse(text))
    first, again = project.slice(text), project.slice(looks)
    assert first.code_hash == again.code_hash
    assert project.slice(text.replace("return [x,", "return [x + 1,")).code_hash != first.code_hash


@many
@given(modules())
def test_what_is_kept_stays_on_its_line(project: Project, texts: tuple[str, str]) -> None:
    """Tracebacks show the author's own lines."""
    kept = project.slice(texts[1]).modules["sample"].text
    assert statements(kept) <= statements(texts[1])


def statements(text: str) -> set[tuple[int, str]]:
    """What stands on which line; annotations are not shipped."""
    found = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt) and not isinstance(node, ast.Pass)
    ]
    return {(node.lineno, type(node).__name__.replace("AnnAssign", "Assign")) for node in found}
