"""What executions have in common with others, wherever those run: named limits, and cached work."""

from __future__ import annotations

from collections.abc import Iterator
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

    def drop(self, number: int) -> Iterator[None]:
        """The execution is not ours any more. What is left of it is freed by and by."""
        self.sharing.drop(number)
        return self.granting.drop(number)
