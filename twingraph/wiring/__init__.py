"""The one place where the real makers are chosen and joined: store, blobs, dispatch, hosts of bodies, conductor.

`runtime()` gives this process a conductor; `open_reader()` reads executions of any process without one.
"""

from twingraph.wiring.makers import PLATFORMS, check_blobs, read, secrets_of
from twingraph.wiring.registry import close_all, open_reader, runtime
from twingraph.wiring.running import Runtime

__all__ = ["PLATFORMS", "Runtime", "check_blobs", "close_all", "open_reader", "read", "runtime", "secrets_of"]
