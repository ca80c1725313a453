"""What only code that is itself the workflow can do: long loops that look at every result, replays, and waiting."""
