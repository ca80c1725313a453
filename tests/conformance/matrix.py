"""The matrix of promises as text: how each fared on each pair of dispatch and platform."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Cell = tuple[str, str, str]  # dispatch, platform, case


def drawn(
    pairs: Sequence[tuple[str, str]], cases: Iterable[str], fared: Mapping[Cell, str], lacks: Mapping[Cell, str]
) -> str:
    """`fared` says it of what ran. What a pair lacks is a dash; what did not run is empty, and no promise."""
    heads = [f"{dispatch} x {platform}" for dispatch, platform in pairs]
    widest = max(map(len, cases))
    lines = [f"{'':{widest}}  " + "  ".join(heads), "-" * (widest + sum(len(head) + 2 for head in heads))]
    for name in cases:
        cells = [fared.get((*pair, name), "-" if (*pair, name) in lacks else "") for pair in pairs]
        columns = (f"{cell:{len(head)}}" for cell, head in zip(cells, heads, strict=True))
        lines.append(f"{name:{widest}}  " + "  ".join(columns).rstrip())
    for (dispatch, platform, name), why in lacks.items():
        if (dispatch, platform) in pairs:
            lines.append(f"- {name} on {dispatch} x {platform}: {why}")
    return "\n".join(lines)
