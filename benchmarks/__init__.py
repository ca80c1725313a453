"""Measurements of TwinGraph beside its peers, in one run, on one machine.

What lives here: the harness (`suite`, `runner`, `meter`, `report`), one module per workload, one per system, and the
locked requirements of every peer. What never moves in: code that the product imports, and figures that
nobody measured.

`base`, `catalog`, `meter`, `runner`, `workloads` and `systems` are also read by the interpreters of the peers' own
environments, so they stand on the standard library alone.
"""
