"""What a run sees around it, what of it is recorded, and that nothing of it stays for the next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.pool.conftest import Bench, opened
from twingraph.core.codec import decode
from twingraph.store.blobs.local import LocalBlobs


async def test_environment_and_folder_are_restored(bench: Bench) -> None:
    code = bench.write(
        "#entry dirty\n#entry look\nimport os\n"
        "def dirty():\n    os.environ['LEFT'] = 'x'\n    del os.environ['PATH']\n    os.chdir('/')\n"
        "    return os.environ['GIVEN']\n"
        "def look():\n    return [os.environ.get('LEFT'), 'PATH' in os.environ, os.getcwd(), os.environ.get('GIVEN')]\n"
    )
    bench.submit(code, "dirty", ["a"], environment={"GIVEN": "yes"})
    bench.submit(code, "look", ["b"])
    await bench.until(lambda: len(bench.outcomes()) == 2)
    assert bench.outcomes()["a"].texts == ['"yes"']
    assert json.loads(bench.outcomes()["b"].texts[0]) == [None, True, str(bench.folder), None]


async def test_everything_printed_is_captured_with_its_level(bench: Bench) -> None:
    await bench.run(
        "import logging, os, subprocess, sys\n"
        "def f():\n"
        "    print('out')\n    print('err', file=sys.stderr)\n    logging.getLogger('mine').error('logged')\n"
        "    os.write(1, b'low\\n')\n    subprocess.run(['echo', 'child'])\n    print('z' * 100_000)\n"
    )
    lines = bench.lines()
    assert ("info", "stdout", "out") in lines
    assert ("warning", "stderr", "err") in lines
    assert ("error", "logging", "mine: logged") in lines
    assert ("info", "stdout", "low") in lines
    assert ("info", "stdout", "child") in lines
    assert [len(m) > 60_000 for _, _, m in lines].count(True) == 1
    assert max(len(m) for _, _, m in lines) < 66_000


async def test_the_runs_own_logger_says_everything_and_needs_no_name(bench: Bench) -> None:
    code = (
        "import logging\nfrom twingraph.executors.context import current\n"
        "def f():\n"
        "    current().logger.debug('in detail')\n"
        "    current().logger.warning('careful')\n"
        "    logging.getLogger('library').debug('noise')\n"
    )
    assert (await bench.run(code)).status == "completed"
    said = [line for line in bench.lines() if line[1] == "logging"]
    assert said == [("debug", "logging", "in detail"), ("warning", "logging", "careful")]


@pytest.mark.parametrize(
    ("text", "shape", "names"),
    [
        ("async def f():\n    return 1\n", "plain", ["output"]),
        ("def f():\n    yield 1\n    yield 2\n", "plain", ["output"]),
        ("def f():\n    return {'a': 1, 'b': 2}\n", "dict", ["a", "b"]),
        (
            "from typing import NamedTuple\ndef f():\n    class R(NamedTuple):\n        x: int\n    return R(1)\n",
            "namedtuple:user_code:f.<locals>.R", ["x"],
        ),
        (
            "class f:\n    def __init__(self, config): self.k = config['k']\n"
            "    def validate_inputs(self, **inputs): assert inputs == {}\n"
            "    def execute(self): return {'k': self.k}\n",
            "dict", ["k"],
        ),
    ],
)  # fmt: skip
async def test_results_become_named_outputs(bench: Bench, text: str, shape: str, names: list[str]) -> None:
    outcome = await bench.run(text, options='{"k": 5}')
    assert (outcome.status, outcome.shape, [name for name, _, _ in outcome.outputs]) == ("completed", shape, names)


async def test_a_run_can_ask_about_itself(bench: Bench) -> None:
    outcome = await bench.run(
        "from twingraph.executors.context import current\nimport os\n"
        "def f():\n    c = current()\n"
        "    return [c.execution_id, c.node_id, c.attempt, os.environ['TWINGRAPH_NODE_ID']]\n"
    )
    assert json.loads(outcome.texts[0]) == ["e", "n", 1, "n"]


async def test_usage_is_measured(bench: Bench) -> None:
    outcome = await bench.run(
        "import time\ndef f():\n    t = time.process_time()\n    while time.process_time() < t + 0.2: pass\n"
    )
    assert outcome.cpu is not None
    assert 0.19 < outcome.cpu < 2
    assert (outcome.memory or 0) > 5_000_000


async def test_the_users_folder_shadows_no_import_of_ours(bench: Bench) -> None:
    for name in ("json", "signal", "typing", "resource"):
        (bench.folder / f"{name}.py").write_text("raise RuntimeError('shadowed')\n")
    assert (await bench.run("def f():\n    return 1\n")).status == "completed"


async def test_a_huge_log_ends_with_one_note(bench: Bench) -> None:
    outcome = await bench.run("def f():\n    for _ in range(300):\n        print('x' * 60_000)\n    return 1\n")
    assert outcome.status == "completed"
    messages = [message for _, _, message in bench.lines()]
    assert sum("ends here" in message for message in messages) == 1
    assert sum(map(len, messages)) < 9_000_000


async def test_progress_and_artifacts_are_lines_of_the_log(bench: Bench) -> None:
    await bench.run(
        "from twingraph.executors.context import current\n"
        "def f():\n    for i in range(1000):\n        current().progress(i + 1, 1000)\n"
        "    return current().artifact('note.txt', 'hello')\n"
    )
    progress = [message for _, stream, message in bench.lines() if stream == "progress"]
    assert progress[-1] == "1000 of 1000"
    assert len(progress) < 10
    (artifact,) = [message for _, stream, message in bench.lines() if stream == "artifact"]
    name, digest, size, _ = artifact.split()
    assert (name, digest, size) == ("note.txt", json.loads(bench.outcomes()["n"].texts[0]), "5")
    assert LocalBlobs(bench.folder).read(digest) == b"hello"


async def test_what_a_slow_run_says_is_told_before_it_ends(bench: Bench) -> None:
    code = bench.write("#entry f\nimport time\ndef f():\n    print('early')\n    time.sleep(60)\n")
    bench.submit(code, "f", ["n"])
    await bench.until(lambda: ("info", "stdout", "early") in bench.lines())
    assert bench.outcomes() == {}


@pytest.mark.parametrize("beside", [False, True])
async def test_variables_may_hold_bytes_that_are_no_text(bench: Bench, beside: bool) -> None:
    body = "f():\n    import os\n    return [os.environb[name] for name in (b'A', b'B\\xfe')] == [b'\\xff', b'x']\n"
    head = "async def " if beside else "def "
    outcome = await bench.run(head + body, asynchronous=beside, environment={"A": "\udcff", "B\udcfe": "x"})
    assert (outcome.status, outcome.texts) == ("completed", ["true"])


async def test_names_with_half_a_character_are_kept_in_one_value(bench: Bench) -> None:
    outcome = await bench.run("def f():\n    return {'a\\udcff': 1, 'a\\udcfe': 2}\n")
    assert (outcome.shape, [name for name, _, _ in outcome.outputs]) == ("plain", ["output"])
    assert decode(outcome.texts[0]) == dict(zip(["a\udcff", "a\udcfe"], [1, 2], strict=True))


# What a function does to its process, and what the next one sees of it.
CHANGES = {
    "umask": ("os.umask(0o777)", "os.umask(0)"),
    "a soft limit": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (9, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
        "resource.getrlimit(resource.RLIMIT_NOFILE)",
    ),
    "a soft limit, otherwise": (
        "resource.prlimit(0, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))",
        "resource.getrlimit(resource.RLIMIT_FSIZE)",
    ),
    "hooks": (
        "sys.excepthook = sys.unraisablehook = threading.excepthook = None",
        "[repr(hook) for hook in (sys.excepthook, sys.unraisablehook, threading.excepthook)]",
    ),
    "how it imports": (
        "sys.path[:] = []; sys.meta_path[:] = []; sys.path_hooks = []",
        "[sys.path, [repr(found) for found in sys.meta_path], [repr(hook) for hook in sys.path_hooks]]",
    ),
    "no importers at all": ("del sys.path, sys.meta_path", "[sys.path, [repr(found) for found in sys.meta_path]]"),
    "logging": ("logging.disable(logging.CRITICAL)", "[logging.root.manager.disable, logging.root.isEnabledFor(30)]"),
    "signals": (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGINT, lambda *_: None)",
        "[repr(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]",
    ),
    "the interpreter": (
        "sys.setrecursionlimit(150); sys.setswitchinterval(5); sys.argv = ['mine', len]",
        "[sys.getrecursionlimit(), sys.getswitchinterval(), repr(sys.argv)]",
    ),
}
BOTH = """#entry look
#entry change
import logging, os, resource, signal, sys, threading
{kind} look():
    return {look}
{kind} change():
    {change}
    return {{'deep': [list('ab')] * 200}}
"""


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside others"])
@pytest.mark.parametrize(("change", "look"), CHANGES.values(), ids=list(CHANGES))
async def test_what_a_function_changes_of_its_process_is_put_back(
    bench: Bench, change: str, look: str, beside: bool
) -> None:
    code = bench.write(BOTH.format(kind="async def" if beside else "def", change=change, look=look))
    for node, entry in (("before", "look"), ("n", "change"), ("after", "look")):
        bench.submit(code, entry, [node], asynchronous=beside)
        await bench.until(lambda node=node: node in bench.outcomes())  # type: ignore[misc]
    ended = bench.outcomes()
    assert ended["before"].status == "completed", ended["before"].error
    if not beside or "limit" not in change:
        assert ended["n"].status == "completed", ended["n"].error
    assert ended["after"].texts == ended["before"].texts, ended["after"].error
    assert ended["after"].worker == ended["before"].worker


async def test_what_the_top_of_a_module_sets_holds_for_all_its_runs(bench: Bench) -> None:
    code = bench.write(
        "#entry f\nimport os, resource, sys\n"
        "os.umask(0o027)\nsys.setrecursionlimit(5000)\nsys.excepthook = print\nsys.argv = ['mine']\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))\n"
        "def f():\n"
        "    seen = [os.umask(0), sys.getrecursionlimit(), sys.excepthook is print, sys.argv,\n"
        "            resource.getrlimit(resource.RLIMIT_CORE)[0]]\n"
        "    sys.setrecursionlimit(900)\n    return seen\n"
    )
    first = await bench.worker_of("a", "f", code)
    assert await bench.worker_of("b", "f", code) == first
    assert [json.loads(bench.outcomes()[node].texts[0]) for node in "ab"] == [[0o027, 5000, True, ["mine"], 0]] * 2


async def test_a_large_output_is_written_as_if_the_function_had_left_all_alone(bench: Bench) -> None:
    outcome = await bench.run(
        "import os, resource\ndef f():\n    os.umask(0o777)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))\n"
        "    return os.urandom(300_000)\n"
    )
    assert outcome.status == "completed", outcome.error
    (blob,) = [file for file in bench.folder.rglob("*") if file.is_file() and file.stat().st_size >= 300_000]
    assert blob.stat().st_mode & 0o400


async def test_what_is_said_below_is_heard_again_after_a_run_that_put_others_in_its_place(bench: Bench) -> None:
    code = bench.write(
        "#entry change\n#entry shut\n#entry say\nimport os\n"
        "def change():\n    os.system('echo first')\n    null = os.open(os.devnull, os.O_RDWR)\n"
        "    os.dup2(null, 1)\n    os.dup2(null, 2)\n    os.system('echo lost')\n"
        "def shut():\n    os.close(1)\n    os.close(2)\n"
        "def say(word):\n    os.system(f'echo {word}; echo {word} >&2')\n"
    )
    said = []
    for entry in ("change", "shut"):
        await bench.worker_of(entry, entry, code)
        await bench.worker_of(f"after {entry}", "say", code, word=entry)
        said += [("info", "stdout", entry), ("warning", "stderr", entry)]
    assert bench.lines() == [("info", "stdout", "first"), *said]


async def test_what_the_top_of_a_module_puts_at_a_descriptor_stays(bench: Bench) -> None:
    code = bench.write(
        "#entry say\nimport os\nnull = os.open(os.devnull, os.O_RDWR)\nos.dup2(null, 1)\n"
        "def say(word):\n    os.system(f'echo {word}; echo {word} >&2')\n    return null\n"
    )
    for word in ("first", "second"):
        await bench.worker_of(word, "say", code, word=word)
    assert bench.lines() == [("warning", "stderr", "first"), ("warning", "stderr", "second")]


async def test_what_is_deep_is_written_under_the_limit_that_its_function_has_set(bench: Bench) -> None:
    outcome = await bench.run(
        "import sys\nclass Link:\n    def __init__(self, next):\n        self.next = next\n"
        "def f():\n    sys.setrecursionlimit(50_000)\n    link = None\n"
        "    for _ in range(3_000):\n        link = Link(link)\n    return link\n"
    )
    assert outcome.status == "completed", outcome.error


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside others"])
async def test_a_process_whose_limit_cannot_be_raised_again_carries_out_no_other_run(
    tmp_path: Path, beside: bool
) -> None:
    head = "async def" if beside else "def"
    async with opened(tmp_path, gives_again=True) as bench:
        code = bench.write(
            "#entry f\nimport resource\n"
            "def refuse(*_):\n    raise ValueError('not allowed to raise maximum limit')\n"
            f"{head} f():\n    from twingraph.executors import surroundings\n    surroundings._setrlimit = refuse\n"
            "    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        )
        await bench.worker_of("first", "f", code)
        bench.submit(code, "f", list("abcdef"), asynchronous=beside)
        await bench.until(lambda: len(bench.outcomes()) == 7)
        ended = bench.outcomes().values()
        assert {outcome.status for outcome in ended} == {"completed"}
        processes = {outcome.worker for outcome in ended}
        assert len(processes) > 1 if beside else len(processes) == 7  # those that have begun beside it go on
