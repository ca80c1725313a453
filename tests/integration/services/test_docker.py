"""An engine of our own: it starts again after whatever end, keeps its images, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docker import IMAGE, Engine, only_with_docker
from tools.services.docker import Docker

pytestmark = [only_with_docker, pytest.mark.timeout(180)]


class Bare(Docker):
    """Without the images, which take their time."""

    def furnish(self, port: int) -> None:
        return


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bare]:
    folder = Path("/tmp") / f"twg-{os.getpid()}"
    folder.mkdir()
    service = Bare(folder)
    yield service
    service.stop()
    service.forget()
    for left in sorted(folder.rglob("*"), reverse=True):
        left.rmdir() if left.is_dir() else left.unlink()
    folder.rmdir()


def test_the_images_hold_the_pythons_that_they_name(docker_engine: Engine) -> None:
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for program in ("python", "python3"):
        assert docker_engine.ask("run", "--rm", "--network", "none", IMAGE, program, "-c", ask) == "3.9"


def test_it_starts_again_after_it_was_killed(own: Bare) -> None:
    own.start()
    first = own.pid()
    own.start()
    assert own.pid() == first
    os.kill(first, signal.SIGKILL)
    while own.running():
        pass
    own.start()
    assert own.ask("version").returncode == 0
    own.stop()
    assert not Path("/sys/class/net", own.bridge).exists()
    assert own.standing().state == "installed"
    assert str(own.folder) not in Path("/proc/mounts").read_text()
