"""What can be measured: names to systems and workloads. A new one is a module and a line here."""

from __future__ import annotations

import importlib

from benchmarks.base import System, Workload
from benchmarks.workloads.chain import CHAIN
from benchmarks.workloads.fan import FAN
from benchmarks.workloads.hello import HELLO

STEADY: dict[str, Workload] = {workload.name: workload for workload in (CHAIN, FAN, HELLO)}

BODIES: dict[str, dict[str, int]] = {
    "loop": {"small": 200, "full": 5_000},
    "replay": {"small": 200, "full": 20_000},
    "waiting": {"small": 20, "full": 1_000},
}
"""Workloads of the scripts in `bodies/`, with their sizes; each runs in processes of its own."""

COLD = "cold"
"""The one workload made of whole processes: importing, and hello from nothing (see `cold`)."""

WORKLOADS = (*STEADY, *BODIES, COLD)

SYSTEMS: dict[str, str] = {
    "twingraph": "twingraph_drawn:DrawnDefault",
    "twingraph-wide": "twingraph_drawn:DrawnWide",
    "pipeline": "twingraph_pipelines:PipelineDefault",
    "pipeline-wide": "twingraph_pipelines:PipelineWide",
    "pipeline-inside": "twingraph_pipelines:InsideBody",
    "pool": "process_pool:ProcessPool",
    "dbos": "dbos_sqlite:DbosSqlite",
    "prefect": "prefect_ephemeral:PrefectEphemeral",
    "dagster-sqlite": "dagster_in_process:DagsterSqlite",
    "dagster-ephemeral": "dagster_in_process:DagsterEphemeral",
    "luigi": "luigi_local:LuigiLocal",
    "celery": "celery_redis:CeleryRedis",
    "twingraph-celery": "twingraph_celery:DrawnOnCelery",
    "twingraph-celery-wide": "twingraph_celery:WideOnCelery",
    "dask": "dask_distributed:DaskDistributed",
    "twingraph-postgres": "twingraph_postgres:DrawnOnPostgres",
    "pipeline-postgres": "twingraph_postgres:PipelineOnPostgres",
    "dbos-postgres": "dbos_postgres:DbosPostgres",
    "pgqueuer": "pgqueuer_asyncpg:PgQueuerAsyncpg",
    "procrastinate": "procrastinate_psycopg:ProcrastinatePsycopg",
}


def system(name: str) -> type[System]:
    """The class behind a name; importing it imports nothing of the peer."""
    module, _, attribute = SYSTEMS[name].partition(":")
    found = getattr(importlib.import_module(f"benchmarks.systems.{module}"), attribute)
    if not (isinstance(found, type) and issubclass(found, System) and found.name == name):
        raise TypeError(f"benchmarks.systems.{module}:{attribute} is not the system {name!r}")
    return found
