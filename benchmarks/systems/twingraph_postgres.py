"""Ours with the journal on PostgreSQL, as conductors on several machines share it."""

from __future__ import annotations

from benchmarks.systems.twingraph_drawn import DrawnDefault
from benchmarks.systems.twingraph_pipelines import PipelineDefault

_VARIABLE = "TWINGRAPH_DATABASE_URL"


class DrawnOnPostgres(DrawnDefault):
    name = "twingraph-postgres"
    title = "TwinGraph on PostgreSQL, drawn"
    keeps = "PostgreSQL journal: every event of every node, with its output"
    settings = "max_parallel 10 (the default), PostgreSQL as it comes (fsync on); else as on SQLite"
    database = _VARIABLE


class PipelineOnPostgres(PipelineDefault):
    name = "pipeline-postgres"
    title = "TwinGraph on PostgreSQL, pipeline"
    keeps = "PostgreSQL journal: every call of the body, every event of every node, with its output"
    settings = "max_parallel 10 (the default), PostgreSQL as it comes (fsync on); else as on SQLite"
    database = _VARIABLE
    bodies = None
