"""What a person sets becomes what bounds the pool."""

from __future__ import annotations

from typing import Any

import pytest

from twingraph.dispatch.embedded import PoolOptions, options_of
from twingraph.settings import load

MI = 1 << 20


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"workers": 3}, {"workers": 3}),
        ({"max_nodes_per_process": 5}, {"runs_per_worker": 5}),
        ({"max_memory_per_process": "100Mi"}, {"bytes_per_worker": 100 * MI}),
        ({"max_memory": "800Mi", "workers": 4}, {"workers": 4, "bytes_per_worker": 200 * MI}),
        ({"max_memory": "100Mi", "workers": 4}, {"workers": 4, "bytes_per_worker": 64 * MI}),
        ({"max_memory": "64Gi", "workers": 4}, {"workers": 4, "bytes_per_worker": 1024 * MI}),
        ({"max_memory": "1Gi", "max_memory_per_process": "2Gi"}, {"bytes_per_worker": 2048 * MI}),
    ],
)
def test_what_is_set_bounds_the_pool(given: dict[str, Any], expected: dict[str, int]) -> None:
    assert options_of(load(given, environ={"HOME": "/h"})) == PoolOptions(**expected)
