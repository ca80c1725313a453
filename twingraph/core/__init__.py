"""Plain data and pure functions: what a workflow, an execution, an event and a value are. No I/O, no clock, no other room."""
