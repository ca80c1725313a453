from __future__ import annotations

import pytest

from twingraph.dispatch.embedded.admission import NOTHING, Admission, Need, devices, need_of

MACHINE = Need(2.0, 1.0)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, NOTHING), ({"memory": "2G"}, NOTHING), ({"cpu": "1.0"}, Need(1, 0)),
        ({"cpu": "500m", "gpu": 1}, Need(0.5, 1)),
        ({"cpu": 64}, Need(2, 0)),
    ],
)  # fmt: skip
def test_what_a_lane_needs(resources: dict[str, object], expected: Need) -> None:
    assert need_of(resources, MACHINE) == expected


def test_a_missing_device_is_told() -> None:
    with pytest.raises(ValueError, match=r"it needs 2 gpu .* this machine has 1"):
        need_of({"gpu": 2}, MACHINE)


def test_what_is_taken_is_not_to_be_had_twice() -> None:
    admission = Admission(MACHINE)
    assert admission.take(Need(1.5, 0))
    assert not admission.take(Need(1, 0))
    assert admission.room_for([Need(0.25, 0), Need(0.25, 1), Need(0.25, 0)]) == 2
    admission.give_back(Need(1.5, 0))
    assert admission.take(Need(2, 1))


def test_ten_tenths_of_a_core_are_one() -> None:
    admission = Admission(Need(1.0, 0.0))
    assert all(admission.take(Need(0.1, 0)) for _ in range(10))
    assert not admission.take(Need(0.1, 0))


@pytest.mark.parametrize(("visible", "count"), [("0,1", 2), ("", 0), ("-1", 0), ("0,-1,1", 1), ("GPU-8f, GPU-9a", 2)])
def test_visible_devices(monkeypatch: pytest.MonkeyPatch, visible: str, count: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices() == count
