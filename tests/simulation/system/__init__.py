"""Whole systems by seed: several real conductors over one store, their pools and bodies, on one clock moved by hand.

`world.System` lives one history through. Everything that may go wrong does: processes die at any point, sleep past
their lease, lose sight of the store; reports come late or twice; clocks jump.
"""
