"""The small executions of `benchmarks.conductors`, where workflows stand: in a module."""

from __future__ import annotations

from benchmarks.systems.twingraph_nodes import inc
from twingraph import Workflow

one = Workflow("one").add_component("n0", inc, x=0)

ten = Workflow("ten").add_component("n0", inc, x=0)
for number in range(1, 10):
    ten.add_component(f"n{number}", inc).connect(f"n{number - 1}", f"n{number}")
