"""Which bodies look at a clock, a file, or their surroundings by themselves."""

from __future__ import annotations

import pytest

from twingraph.engine.looking import looks_around

BODY = "@pipeline\ndef flow():\n    return last({})\n"
HELD = "import os, time\n@component\ndef held(x):\n    open(x)\n    time.sleep(1)\n    return os.stat(x)\n"


@pytest.mark.parametrize(
    "text",
    [
        "import time\n" + BODY.format("time.time()"),
        "from time import perf_counter as now\n" + BODY.format("now()"),
        "import datetime as d\n" + BODY.format("d.date.today()"),
        "import os.path\n" + BODY.format("os.path.exists('x')"),
        "from pathlib import Path\ndef there():\n    return Path('x').exists()\n" + BODY.format("there()"),
        "from pathlib import Path\nHERE = Path.cwd()\n" + BODY.format("str(HERE)"),
        BODY.format("open('x').read()"),
        "@pipeline\ndef flow():\n    import socket\n    return last(socket.gethostname())\n",
        HELD + BODY.format("held(time.time())"),
        "import os\n@other.wraps\ndef place():\n    return os.getcwd()\n" + BODY.format("place()"),
        "def flow(:",
    ],
)
def test_it_looks(text: str) -> None:
    assert looks_around(text)


@pytest.mark.parametrize(
    "text",
    [
        BODY.format("one(timeout=2).time"),
        HELD + BODY.format("held('x')"),
        HELD.replace("@component", "@twingraph.component(timeout=3)") + BODY.format("held('x')"),
        "import time\nclass Reader:\n    time = 3\n" + BODY.format("Reader.time"),
        "import asyncio\n" + BODY.format("asyncio.sleep(1)"),
    ],
)
def test_it_does_not(text: str) -> None:
    assert not looks_around(text)


def test_what_is_nested_too_deep_may_do_anything() -> None:
    assert looks_around("x = " + "(" * 5_000 + ")" * 5_000)
    assert looks_around("x = " + "-" * 20_000 + "1")
