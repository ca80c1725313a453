"""What executions have in common with others, wherever those run: named limits, and cached work."""

from __future__ import annotations

from typing import NamedTuple

from twingraph.engine.granting import Granting
from twingraph.engine.sharing import Sharing


class Outside(NamedTuple):
    """Both are asked, answer later, and are looked at again when somebody has written."""

    granting: Granting
    sharing: Sharing

    def look(self, *, changed: bool) -> None:
        """See whether somebody who waits may go on."""
        self.granting.look(changed=changed)
        self.sharing.look(changed=changed)

    def drop(self, number: int) -> None:
        """The execution is not ours any more."""
        self.granting.drop(number)
        self.sharing.drop(number)
