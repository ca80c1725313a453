"""The table's rows. Each module is ordinary user code with a tuple `CASES` at its end."""

MODULES = (
    "flow",
    "failures",
    "cleanups",
    "syntax",
    "functions",
    "values",
    "references",
    "waiting",
    "asynchronous",
    "settings",
)
