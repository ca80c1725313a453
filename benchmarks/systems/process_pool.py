"""The floor: two processes that run functions and remember nothing."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

from benchmarks.base import System


def inc(x: int) -> int:
    return x + 1


class ProcessPool(System):
    name = "pool"
    title = "process pool (2), bare"
    keeps = "nothing"
    settings = "concurrent.futures, one submit per node"
    imports = "concurrent.futures.process"
    once = "hello_process_pool.py"

    def setup(self) -> None:
        self._pool = ProcessPoolExecutor(2)

    def teardown(self) -> None:
        self._pool.shutdown()

    def chain(self, n: int) -> int:
        value = 0
        for _ in range(n):
            value = self._pool.submit(inc, value).result()
        return value

    def fan(self, n: int) -> int:
        source = self._pool.submit(inc, 0).result()
        parts = [self._pool.submit(inc, source) for _ in range(n)]
        return self._pool.submit(sum, [part.result() for part in parts]).result()

    def hello(self) -> int:
        return self._pool.submit(inc, 0).result()
