"""Which lanes may run at once, by what they say they need of cores and devices.

A lane that says nothing needs nothing: how many of those run at once is the business of `max_parallel`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from twingraph.core.quantities import unit_count

_SLACK = 1e-9  # ten tenths of a core are one core


class Need(NamedTuple):
    """Cores and devices that a lane holds while a worker has it."""

    cpu: float
    gpu: float


NOTHING = Need(0.0, 0.0)


def need_of(resources: Mapping[str, Any], machine: Need) -> Need:
    """What a lane asks for; ValueError when it can never be had here.

    More cores than there are means all of them: it takes longer, and that is all. A missing device is an error.
    """
    if not resources:
        return NOTHING
    cpu, gpu = unit_count(resources.get("cpu") or 0), unit_count(resources.get("gpu") or 0)
    if gpu > machine.gpu:
        raise ValueError(
            f"it needs {gpu:g} gpu (resources gpu) and this machine has {machine.gpu:g}; "
            "see CUDA_VISIBLE_DEVICES and `twingraph doctor`, or choose another platform"
        )
    return Need(min(cpu, machine.cpu), gpu)


class Admission:
    """What is in use. What cannot be had now holds back later ones that also need something, so that its turn comes."""

    def __init__(self, machine: Need) -> None:
        self.machine = machine
        self._cpu = 0.0
        self._gpu = 0.0

    def take(self, need: Need) -> bool:
        """Whether it is to be had now; then it is taken."""
        if self._cpu + need.cpu > self.machine.cpu + _SLACK or self._gpu + need.gpu > self.machine.gpu + _SLACK:
            return False
        self._cpu += need.cpu
        self._gpu += need.gpu
        return True

    def room_for(self, needs: Iterable[Need]) -> int:
        """How many of these, in their order, are to be had now."""
        cpu, gpu, count = self._cpu, self._gpu, 0
        for need in needs:
            cpu, gpu = cpu + need.cpu, gpu + need.gpu
            if cpu > self.machine.cpu + _SLACK or gpu > self.machine.gpu + _SLACK:
                break
            count += 1
        return count

    def give_back(self, need: Need) -> None:
        self._cpu = max(0.0, self._cpu - need.cpu)
        self._gpu = max(0.0, self._gpu - need.gpu)


def devices() -> int:
    """The NVIDIA devices that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = [name.strip() for name in visible.split(",")]
        return len([name for name in named[: _first_refusal(named)] if name])
    folder = Path("/dev")
    return sum(re.fullmatch("nvidia[0-9]+", path.name) is not None for path in folder.glob("nvidia[0-9]*"))


def _first_refusal(named: list[str]) -> int:
    """CUDA stops reading at the first name that is no device, of which -1 is the usual one."""
    return next((place for place, name in enumerate(named) if name == "-1"), len(named))
