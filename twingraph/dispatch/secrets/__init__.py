"""Where the values of secrets come from, and how a lane gets them on its way to a worker.

Nothing here is written down: a value lives in the lane that carries it, and for a few seconds in memory.
"""

from twingraph.dispatch.secrets.lookup import Secrets
from twingraph.dispatch.secrets.resolving import Resolving, names_any

__all__ = ["Resolving", "Secrets", "names_any"]
