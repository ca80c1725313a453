"""The matrix of promises as text: what each pair of dispatch and platform is held to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def drawn(pairs: Sequence[tuple[str, str]], cases: Iterable[str], lacks: Mapping[tuple[str, str, str], str]) -> str:
    heads = [f"{dispatch} x {platform}" for dispatch, platform in pairs]
    widest = max(map(len, cases))
    lines = [f"{'':{widest}}  " + "  ".join(heads), "-" * (widest + 2 + sum(len(head) + 2 for head in heads))]
    for name in cases:
        cells = ["-" if (*pair, name) in lacks else "held" for pair in pairs]
        lines.append(
            f"{name:{widest}}  " + "  ".join(f"{cell:{len(head)}}" for cell, head in zip(cells, heads, strict=True))
        )
    lines += [f"- {name} on {dispatch} x {platform}: {why}" for (dispatch, platform, name), why in lacks.items()]
    return "\n".join(lines)
