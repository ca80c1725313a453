"""From a compiled workflow to the bundle of code that its workers load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twingraph.sdk.slicing import bundle, slice_of


def pack(entries: Mapping[str, Any]) -> bytes:
    """The bundle of the functions and classes under these keys, as canonical JSON: equal code gives equal bytes."""
    slices = {key: slice_of(target) for key, target in entries.items()}
    return json.dumps(bundle(slices), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
