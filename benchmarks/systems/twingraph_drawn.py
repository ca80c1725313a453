"""Ours: drawn workflows on the embedded engine, durable on SQLite."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.base import System


class DrawnDefault(System):
    name = "twingraph"
    title = "TwinGraph, drawn, max_parallel 10"
    keeps = "SQLite journal: every event of every node, with its output"
    settings = "max_parallel 10 (the default); workflows drawn outside of the timing, compiled and run inside it"
    ours = True
    distribution = "twingraph"
    imports = "twingraph"
    once: ClassVar[str | None] = "hello_twingraph.py"
    max_parallel: ClassVar[int] = 10

    @classmethod
    def environment(cls, folder: Path) -> Mapping[str, str]:
        return {"TWINGRAPH_HOME": str(folder / "home")}

    def setup(self) -> None:
        self._workflow: Any = importlib.import_module("twingraph").Workflow
        self._nodes: Any = importlib.import_module("benchmarks.systems.twingraph_nodes")
        self._drawn: dict[tuple[str, int], Any] = {}

    def draw(self, workload: str, n: int) -> None:
        drawing = {"chain": self._chain, "fan": self._fan, "hello": self._hello}[workload]
        self._drawn[workload, n] = drawing(n)

    def chain(self, n: int) -> int:
        return self._run("chain", n)

    def fan(self, n: int) -> int:
        return self._run("fan", n)

    def hello(self) -> int:
        return self._run("hello", 1)

    def _run(self, workload: str, n: int) -> int:
        result: int = self._drawn[workload, n].run()
        return result

    def _chain(self, n: int) -> Any:
        workflow = self._workflow("chain", max_parallel=self.max_parallel)
        workflow.add_component("n0", self._nodes.inc, x=0)
        for i in range(1, n):
            workflow.add_component(f"n{i}", self._nodes.inc)
            workflow.connect(f"n{i - 1}", f"n{i}")
        return workflow

    def _fan(self, n: int) -> Any:
        workflow = self._workflow("fan", max_parallel=self.max_parallel)
        workflow.add_component("source", self._nodes.ones, n=n)
        workflow.add_map("each", component=self._nodes.inc)
        workflow.connect("source", "each")
        workflow.add_component("total", self._nodes.total)
        workflow.connect("each", "total")
        return workflow

    def _hello(self, n: int) -> Any:
        workflow = self._workflow("hello", max_parallel=self.max_parallel)
        workflow.add_component("n0", self._nodes.inc, x=0)
        return workflow


class DrawnWide(DrawnDefault):
    name = "twingraph-wide"
    title = "TwinGraph, drawn, max_parallel 1,000"
    settings = "max_parallel 1,000; else as above"
    max_parallel = 1000
