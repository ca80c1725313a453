"""Amounts as people and platforms write them: '500m' of a core, '16Gi' of memory."""

from __future__ import annotations

import math
import re

_NUMBER = r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*([a-zA-Z]*)\s*"
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15,
          "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40, "pi": 1 << 50}  # fmt: skip


def byte_count(value: object) -> int:
    """Bytes of 512, '512', '512Mi', '2G', '2GB', '1.5 GiB', or ValueError. Units may be written in any case."""
    number, unit = _parts(value, "bytes, such as 536870912, '512Mi' or '2G'")
    factor = _BYTES.get(unit.lower().removesuffix("b"))
    if factor is None:
        raise ValueError(f"{value!r} is not a number of bytes, such as 536870912, '512Mi' or '2G'")
    return int(number * factor)


def unit_count(value: object) -> float:
    """Cores or devices of 2, 0.5, '1.0', '500m', or ValueError."""
    number, unit = _parts(value, "cores or devices, such as 2, 0.5 or '500m'")
    if unit not in ("", "m"):
        raise ValueError(f"{value!r} is not a number of cores or devices, such as 2, 0.5 or '500m'")
    return number / 1000 if unit else number


def _parts(value: object, what: str) -> tuple[float, str]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value >= 0 and math.isfinite(value):
            return float(value), ""
    elif isinstance(value, str) and (found := re.fullmatch(_NUMBER, value)) is not None:
        digits, unit = found.groups()
        return float(digits), unit
    raise ValueError(f"{value!r} is not a number of {what}")
