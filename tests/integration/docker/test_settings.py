"""What an author may ask of a container is what it gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.docker import Engine, Runs, only_with_docker
from twingraph import component, wiring

pytestmark = [only_with_docker, pytest.mark.timeout(120)]


@component
def looks() -> dict[str, Any]:
    import os
    import sys

    def limit(*places: str) -> str:
        for place in places:
            if os.path.exists(place):
                with open(place) as file:
                    return file.read().split()[0]
        return ""

    with open("/proc/net/dev") as file:
        links = [line.split(":")[0].strip() for line in file if ":" in line]
    return {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "memory": limit("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        "cpu": limit("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        "links": sorted(links),
        "uid": os.getuid(),
        "given": os.environ.get("GIVEN"),
        "pid": os.getpid(),
    }


def test_the_image_has_the_python_that_its_tag_says(runs: Runs) -> None:
    assert runs.value(looks)["python"] == "3.9"


def test_bounds_and_surroundings(runs: Runs) -> None:
    config = {"memory": "96Mi", "cpu": "0.5", "network": "none", "user": 1234, "environment": {"GIVEN": "this"}}
    seen = runs.value(looks, platform_config=config)
    assert (int(seen["memory"]), int(seen["cpu"])) == (96 << 20, 50_000)
    assert (seen["links"], seen["uid"], seen["given"]) == (["lo"], 1234, "this")


def test_a_network_by_name(runs: Runs) -> None:
    assert len(runs.value(looks, platform_config={"network": "bridge"})["links"]) == 2


@component
def writes(folder: str) -> str:
    with open(folder + "/in") as file:
        text = file.read()
    with open(folder + "/out", "w") as file:
        file.write(text.upper())
    return text


def test_a_volume(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("words")
    runs.value(writes, {"folder": "/there"}, platform_config={"volumes": {str(tmp_path): "/there"}})
    assert (tmp_path / "out").read_text() == "WORDS"


def test_a_volume_that_may_only_be_read(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("words")
    node = runs.run(writes, {"folder": "/there"}, platform_config={"volumes": {str(tmp_path): "/there:ro"}})
    assert node.error is not None
    assert node.error.error_type == "OSError"
    assert not (tmp_path / "out").exists()


@component
def waits() -> str:
    import time

    time.sleep(60)
    return "over"


def test_labels_and_nothing_mounted(runs: Runs, docker_engine: Engine) -> None:
    handle = runs.begin(waits, labels={"team": "blue"})
    found = docker_engine.inspect(docker_engine.running(handle.id))
    handle.cancel()
    labels = found["Config"]["Labels"]
    assert (labels["team"], labels["twingraph.execution"], labels["twingraph.node"]) == ("blue", handle.id, "n")
    assert found["Mounts"] == []
    assert handle.wait(20)
    assert docker_engine.none_left(handle.id)


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        ({"docker_image": "nobody/has-this:1"}, "code_unavailable", "cannot be pulled"),
        (
            {"docker_image": "nobody/has-this:1", "platform_config": {"pull_policy": "never"}},
            "code_unavailable",
            "never",
        ),
        ({"docker_image": "twingraph-test:tiny"}, "code_unavailable", "needs Python 3.8"),
        ({"platform_config": {"memory": "1M"}}, "invalid_input", "6 MiB"),
        ({"platform_config": {"cpu": 4000}}, "invalid_input", "refused"),
        ({"platform_config": {"volumes": {"/tmp": "relative"}}}, "invalid_input", "absolute"),
        ({"platform_config": {"network": "no-such-network"}}, "invalid_input", "no-such-network"),
        ({"platform_config": {"pull_policy": "always"}}, "code_unavailable", "cannot be pulled, as pull_policy"),
        ({"platform_config": {"pull_policy": "sometimes"}}, "invalid_input", "pull_policy"),
        ({"platform_config": {"gpu": 1}}, "invalid_input", "refused"),
        ({"platform_config": {"host": "tcp://127.0.0.1:9"}}, "worker_lost", "127.0.0.1:9"),
    ],
)
def test_what_cannot_be_had_is_told(runs: Runs, settings: dict[str, Any], code: str, says: str) -> None:
    node = runs.run(looks, **settings)
    assert node.error is not None
    assert (node.status, node.error.code) == ("failed", code), node.error
    assert says in node.error.message


def test_another_program_and_user_names(runs: Runs) -> None:
    config = {"python": "python3.11", "user": "nobody"}
    seen = runs.value(looks, docker_image="twingraph-test:system", platform_config=config)
    assert (seen["python"], seen["uid"]) == ("3.11", 65534)


def test_the_client_is_not_loaded_before_it_is_needed() -> None:
    load = "import twingraph, twingraph.wiring, sys; sys.exit('docker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", load], check=False).returncode == 0


FLOW = """
from twingraph import pipeline

@pipeline
def flow():
    return process_data([0.2, 0.7, 0.9])

print(flow())
"""


def test_the_reference_documents_example_as_printed(tmp_path: Path, home: Path, docker_engine: Engine) -> None:
    printed = (Path(__file__).parents[2] / "reference" / "snippets" / "component.txt").read_text()
    (tmp_path / "flow.py").write_text(f"from collections import namedtuple\n{printed}{FLOW}")
    told = subprocess.run([sys.executable, "flow.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, "Output(filtered=[0.7, 0.9], count=2)\n"), told.stderr
    reader = wiring.open_reader(str(home))
    node = reader.view(reader.resolve("last")).nodes[0]
    assert (node.platform, str(node.attempts[0].worker).startswith("twingraph-")) == ("docker", True)
