"""Dask distributed: a scheduler and two worker processes on this machine."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from benchmarks.base import System


def inc(x: int) -> int:
    return x + 1


class DaskDistributed(System):
    name = "dask"
    title = "Dask distributed, 2 processes"
    keeps = "memory: the scheduler's state, results on the workers"
    settings = "LocalCluster of 2 processes with 1 thread each, no dashboard, pure=False"
    lock = "dask"
    distribution = "distributed"
    imports = "distributed"
    once = "hello_dask.py"

    def setup(self) -> None:
        distributed = importlib.import_module("distributed")
        self._cluster: Any = distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.ERROR,
        )
        self._client: Any = distributed.Client(self._cluster)

    def teardown(self) -> None:
        self._client.close()
        self._cluster.close()

    def chain(self, n: int) -> int:
        future = self._client.submit(inc, 0, pure=False)
        for _ in range(n - 1):
            future = self._client.submit(inc, future, pure=False)
        result: int = future.result()
        return result

    def fan(self, n: int) -> int:
        source = self._client.submit(inc, 0, pure=False)
        parts = self._client.map(inc, [source] * n, pure=False)
        result: int = self._client.submit(sum, parts, pure=False).result()
        return result

    def hello(self) -> int:
        result: int = self._client.submit(inc, 0, pure=False).result()
        return result
