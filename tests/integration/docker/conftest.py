"""Runs in containers of a real engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.docker import Engine, Runs


@pytest.fixture
def runs(home: Path, docker_engine: Engine) -> Runs:
    return Runs(home)
