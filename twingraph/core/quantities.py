"""Amounts as people and platforms write them: '500m' of a core, '16Gi' of memory, '1h30m' of time."""

from __future__ import annotations

import math
import re
import sys

_NUMBER = r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*([a-zA-Z]*)\s*"
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15,
          "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40, "pi": 1 << 50}  # fmt: skip


def byte_count(value: object) -> int:
    """Bytes of 512, '512', '512Mi', '2G', '2GB', '1.5 GiB', or ValueError. Units may be written in any case."""
    number, unit = _parts(value, "bytes, such as 536870912, '512Mi' or '2G'")
    factor = _BYTES.get(unit.lower().removesuffix("b"))
    if factor is None or not math.isfinite(number * factor):
        raise ValueError(f"{value!r} is not a number of bytes, such as 536870912, '512Mi' or '2G'")
    return int(number * factor)


def unit_count(value: object) -> float:
    """Cores or devices of 2, 0.5, '1.0', '500m', or ValueError."""
    number, unit = _parts(value, "cores or devices, such as 2, 0.5 or '500m'")
    if unit not in ("", "m"):
        raise ValueError(f"{value!r} is not a number of cores or devices, such as 2, 0.5 or '500m'")
    return number / 1000 if unit else number


_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


def second_count(value: object) -> float:
    """Seconds of 90, 1.5, '90', '500ms', '10m', '1h30m', '7d', '2w', or ValueError; always above 0."""
    what = "seconds above 0, such as 3600, '90s', '1h30m' or '7d'"
    if (
        isinstance(value, str)
        and (parts := re.findall(_NUMBER, value))
        and "".join(value.split()) == "".join(number + unit for number, unit in parts)
    ):
        if all(unit.lower() in _SECONDS for _, unit in parts) and (len(parts) == 1 or all(unit for _, unit in parts)):
            found = sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)
        else:
            raise ValueError(f"{value!r} is not a number of {what}")
    else:
        found, _ = _parts(value, what)
    if not found > 0 or not math.isfinite(found):
        raise ValueError(f"{value!r} is not a number of {what}")
    return found


def seconds_text(seconds: float) -> str:
    """As people say it, in at most two units: '0.5s', '90s', '1h30m', '7d'."""
    if seconds < 100:
        return f"{seconds:.3g}s"
    parts: list[str] = []
    left = round(seconds)
    for unit in ("d", "h", "m", "s"):
        number, left = divmod(left, int(_SECONDS[unit]))
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts[:2])


def _parts(value: object, what: str) -> tuple[float, str]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 <= value <= sys.float_info.max:
            return float(value), ""
    elif isinstance(value, str) and (found := re.fullmatch(_NUMBER, value)) is not None:
        digits, unit = found.groups()
        if math.isfinite(float(digits)):
            return float(digits), unit
    raise ValueError(f"{value!r:.80} is not a number of {what}")
