"""One module per command: `EXAMPLE`, `add_arguments(parser)` and `run(args, app) -> exit code`."""
