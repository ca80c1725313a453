"""The pure state machine of one execution: events in, commands out. No clock, no I/O, no chance, no values.

`machine.apply` (or its parts) is the only thing that changes a state. The modules around it hold what it is made of:
`state` the records, `graph` how nodes come to be, `scheduling` which go next, `runs` what becomes of a run, `outside`
what comes from beyond the graph, `endings` what an ending sets off, `snapshot` the state as data, `invariants` what
must always hold.
"""

from twingraph.engine.kernel.machine import apply, begin, conclude
from twingraph.engine.kernel.state import IllegalMove, Node, Scope, State

__all__ = ["IllegalMove", "Node", "Scope", "State", "apply", "begin", "conclude"]
