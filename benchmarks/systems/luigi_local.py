"""Luigi with its local scheduler: a small file per task, whose existence is the state."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from benchmarks.base import System


class LuigiLocal(System):
    name = "luigi"
    title = "Luigi, 1 worker"
    keeps = "an output file per task"
    settings = "local scheduler, one worker in the same process, log off"
    lock = "luigi"
    distribution = "luigi"
    imports = "luigi"
    once = "hello_luigi.py"

    def setup(self) -> None:
        self._luigi: Any = importlib.import_module("luigi")
        logging.disable(logging.CRITICAL)
        self._runs = 0
        self._tasks = _declare(self._luigi, str(self.folder))

    def _build(self, kind: str, i: int) -> int:
        self._runs += 1
        task = self._tasks[kind](run_id=self._runs, i=i)
        if not self._luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR", no_lock=True):
            raise RuntimeError(f"Luigi did not complete {task}")
        result: int = task.value()
        return result

    def chain(self, n: int) -> int:
        return self._build("link", n)

    def fan(self, n: int) -> int:
        return self._build("total", n)

    def hello(self) -> int:
        return self._build("link", 1)


def _declare(luigi: Any, root: str) -> dict[str, Any]:
    """The task classes. Luigi's base class is known only now, so that they are made from plain functions."""

    def output(task: Any) -> Any:
        return luigi.LocalTarget(f"{root}/{task.run_id}/{type(task).__name__}-{task.i}")

    def value(task: Any) -> int:
        with task.output().open("r") as file:
            return int(file.read())

    def declare(name: str, requires: Any, compute: Any) -> Any:
        def run(task: Any) -> None:
            with task.output().open("w") as file:
                file.write(str(compute([required.value() for required in task.requires()])))

        parameters = {"run_id": luigi.IntParameter(), "i": luigi.IntParameter()}
        body = {"output": output, "value": value, "run": run, "requires": requires}
        return type(name, (luigi.Task,), parameters | body)

    link: Any = declare(
        "Link", lambda t: [link(run_id=t.run_id, i=t.i - 1)] if t.i > 1 else [], lambda found: sum(found) + 1
    )
    source = declare("Source", lambda t: [], lambda found: 1)
    leaf = declare("Leaf", lambda t: [source(run_id=t.run_id, i=0)], lambda found: found[0] + 1)
    total = declare("Total", lambda t: [leaf(run_id=t.run_id, i=i) for i in range(t.i)], sum)
    return {"link": link, "total": total}
