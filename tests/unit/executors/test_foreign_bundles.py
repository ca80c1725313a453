"""A bundle of code that is not what was packed is refused in clear words, whatever is wrong with it."""

from __future__ import annotations

import json
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.foreign import spoiled_text, spoiled_tree
from twingraph.executors.slice_loader import FACTORY, Loaded

FILE = "/gone/foreign_sample.py"
TEXT = "import math\nSCALE = 2\ndef f(x):\n    return x * SCALE\nclass C:\n    def execute(self): return 1\n"
MODULE = {"file": FILE, "text": TEXT, "package": False, "main": True, "search": [], "shown": {"2": "SCALE = 2"}}
NESTED = f"def {FACTORY}(k, m, g, me):\n    def inner(x):\n        return k + x\n    return inner\n"
INNER = f"def {FACTORY}():\n    def g():\n        return 1\n    return g\n"
PLACE = {"module": "foreign_sample", "around": "outer.<locals>"}
CLOSURE = {
    "k": {"kind": "literal", "repr": "(1, 'a')"},
    "m": {"kind": "module", "name": "math"},
    "g": {"kind": "function", "factory": INNER, "closure": {}, **PLACE},
    "me": {"kind": "self"},
}
ENTRY: dict[str, object] = {
    "mode": "slice",
    "module": "foreign_sample",
    "name": "f",
    "factory": None,
    "closure": {},
    "file": FILE,
}
BUNDLE = {
    "format": 1,
    "modules": {"foreign_sample": MODULE, "foreign_package.inner": {**MODULE, "file": "/gone/inner.py"}},
    "entries": {
        "f": ENTRY,
        "c": {**ENTRY, "name": "C"},
        "nested": {**ENTRY, **PLACE, "name": "inner", "factory": NESTED, "closure": CLOSURE},
        "refused": {"mode": "refused", "note": "no", "factory": None},
    },
}
# What loading code may end in that is not as it was written, or that wants what is not there.
OF_CODE = (ImportError, SyntaxError, NameError, AttributeError, ValueError, ZeroDivisionError, TypeError)
BAD_CODE = st.sampled_from(["", "def f(:\n", "import no_such_module_anywhere\n", "1 / 0\n", "\0", "\ud800", "g = 1\n"])
quick = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])


@contextmanager
def nothing_stays() -> Iterator[None]:
    modules, finders, lines = dict(sys.modules), list(sys.meta_path), dict(linecache.cache)
    try:
        yield
    finally:
        for name in set(sys.modules) - set(modules):
            del sys.modules[name]
        sys.modules.update(modules)
        sys.meta_path[:] = finders
        linecache.cache.clear()
        linecache.cache.update(lines)


def use(raw: object) -> None:
    """As a worker does: what is not there is a KeyError, once it is known that the rest is in order."""
    with nothing_stays():
        loaded = Loaded(raw)  # type: ignore[arg-type]  # that is what it must find out
        loaded.install()
        for key in loaded.entries:
            with suppress(*OF_CODE):
                loaded.get(key)


def test_what_was_packed_is_loaded() -> None:
    with nothing_stays():
        loaded = Loaded(BUNDLE)
        loaded.install()
        assert loaded.get("f")(3) == 6
        assert loaded.get("nested").__name__ == "inner"
        with pytest.raises(ImportError, match="no"):
            loaded.get("refused")


@quick
@given(spoiled_tree([json.dumps(BUNDLE)]))
def test_what_has_another_form_is_refused_or_loaded(text: str) -> None:
    with suppress(ImportError):
        use(json.loads(text))


@quick
@given(spoiled_text([json.dumps(BUNDLE)]))
def test_what_has_lost_some_letters_is_refused_or_loaded(text: str) -> None:
    try:
        raw = json.loads(text)
    except ValueError:
        return
    with suppress(ImportError):
        use(raw)


@quick
@given(BAD_CODE, st.sampled_from(["text", "factory", "repr", "name"]))
def test_what_holds_other_code_fails_as_that_code_does(code: str, where: str) -> None:
    raw = json.loads(json.dumps(BUNDLE))
    holder = {
        "text": raw["modules"]["foreign_sample"],
        "factory": raw["entries"]["nested"],
        "repr": raw["entries"]["nested"]["closure"]["k"],
        "name": raw["entries"]["f"],
    }[where]
    holder[where] = code
    use(raw)


@pytest.mark.parametrize("raw", [None, [], {}, {"format": 1}, {"format": 1, "modules": [], "entries": {}}, "x"])
def test_what_is_no_bundle_is_refused(raw: object) -> None:
    with pytest.raises(ImportError, match="this bundle"):
        Loaded(raw)  # type: ignore[arg-type]
