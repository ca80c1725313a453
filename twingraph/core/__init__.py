"""Plain data and pure functions: workflows, executions, events, values. No I/O, no clock, no other room."""
