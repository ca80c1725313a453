# mypy: disable-error-code="untyped-decorator"
"""The tasks of a bare Celery, as a user would write them; read by its workers too."""

from __future__ import annotations

import os

from celery import Celery

from benchmarks.redis import VARIABLE

app = Celery("benchmarks", broker=os.environ[VARIABLE], backend=os.environ[VARIABLE])


@app.task
def inc(x: int) -> int:
    return x + 1


@app.task
def ones(n: int) -> list[int]:
    return [1] * n


@app.task
def total(xs: list[int]) -> int:
    return sum(xs)
