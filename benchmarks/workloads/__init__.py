"""What every system is asked to do: one module per workload, holding one `Workload` record, listed in `catalog`."""
