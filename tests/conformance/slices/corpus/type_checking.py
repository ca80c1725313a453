# call: run(1)
# drops: decimal
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal


def run(n: Decimal) -> list[Decimal] | None:
    return n + 1
