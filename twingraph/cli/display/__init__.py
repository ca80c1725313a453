"""How a run is drawn while it goes on: live on a terminal and in a notebook, as plain lines elsewhere.

Here is nothing that starts or decides; a display reads snapshots and logs, and writes to one stream.
"""

from __future__ import annotations

from twingraph.cli.display.follow import Follower
from twingraph.cli.display.notebook import NotebookWatch, in_kernel
from twingraph.cli.display.watch import Watch, attach

__all__ = ["Follower", "NotebookWatch", "Watch", "attach", "in_kernel"]
