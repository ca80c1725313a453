"""Ours: the same workloads written as pipelines, and what is left when their bodies compute everything themselves."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.base import System


class PipelineDefault(System):
    name = "pipeline"
    title = "TwinGraph, pipeline, max_parallel 10"
    keeps = "SQLite journal: every call of the body, every event of every node, with its output"
    settings = "max_parallel 10 (the default); the body runs in the process that waits for it"
    ours = True
    distribution = "twingraph"
    imports = "twingraph"
    once = "hello_twingraph_pipeline.py"
    bodies: ClassVar[str | None] = "bodies_twingraph.py"
    max_parallel: ClassVar[int] = 10

    @classmethod
    def environment(cls, folder: Path) -> Mapping[str, str]:
        return {"TWINGRAPH_HOME": str(folder / "home")}

    def setup(self) -> None:
        bodies: Any = importlib.import_module("benchmarks.systems.twingraph_bodies")
        self._written = self._bodies(bodies)

    def _bodies(self, module: Any) -> Mapping[str, Any]:
        written: Mapping[str, Any] = module.pipelines(self.max_parallel)
        return written

    def chain(self, n: int) -> int:
        return self._run("chain", n)

    def fan(self, n: int) -> int:
        return self._run("fan", n)

    def hello(self) -> int:
        return self._run("hello", 1)

    def _run(self, workload: str, n: int) -> int:
        result: int = self._written[workload](n)
        return result


class PipelineWide(PipelineDefault):
    name = "pipeline-wide"
    title = "TwinGraph, pipeline, max_parallel 1,000"
    settings = "max_parallel 1,000; else as above"
    max_parallel = 1000
    bodies = None


class InsideBody(PipelineDefault):
    name = "pipeline-inside"
    title = "TwinGraph, all inside the body"
    keeps = "SQLite journal: that the pipeline ran, and its result"
    settings = "no nodes: the body calls the plain functions itself, so that only the pipeline is on record"
    bodies = None

    def _bodies(self, module: Any) -> Mapping[str, Any]:
        written: Mapping[str, Any] = module.inside()
        return written
