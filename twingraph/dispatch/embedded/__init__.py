"""The pool: local processes that stay warm, one group per code version.

Here lives how processes are started, fed, watched and ended. What they do inside lives in `executors`; what should
run, and what a failure means for the graph, is decided by the engine.
"""

from twingraph.dispatch.embedded.options import PoolOptions, options_of
from twingraph.dispatch.embedded.pool import EmbeddedPool

__all__ = ["EmbeddedPool", "PoolOptions", "options_of"]
