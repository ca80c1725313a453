"""The pure state machine of one execution: events in, commands out. No clock, no I/O, no chance, no values."""
