from __future__ import annotations

import os
import tempfile

from hypothesis import given
from hypothesis import strategies as st

from twingraph.dispatch.embedded.capturing import CapturedFile
from twingraph.executors.mask import Flow, Mask

SECRETS = ["wörd-secret", "two\nlines-of-it", "abab"]
PARTS = st.sampled_from([*SECRETS, "wörd-", "secret", "two", "\n", "\n", "ab", "ä", "x", " "])


@given(st.lists(st.tuples(st.integers(1, 7), st.booleans()), max_size=40), st.lists(PARTS, max_size=20))
def test_what_children_print_is_hidden_however_it_is_read(steps: list[tuple[int, bool]], parts: list[str]) -> None:
    text = "".join(parts)
    data, position, lines = text.encode(), 0, []
    descriptor, path = tempfile.mkstemp()
    os.unlink(path)
    file = CapturedFile(descriptor)
    file.hide(Flow(Mask(SECRETS).raw))
    for size, look in steps:
        os.write(descriptor, data[position : position + size])
        position += size
        if look:
            lines += file.read("info", "stdout", whole=False)
    os.write(descriptor, data[position:])
    lines += file.read("info", "stdout")
    file.close()
    assert "\n".join(line[3] for line in lines) == "\n".join(Mask(SECRETS)(text).splitlines())
