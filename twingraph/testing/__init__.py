"""Doubles that are kept to the same promises as the real parts, for users and for our own tests.

`Inline` runs pipelines and workflows in the test's own process and thread, on a clock that the test moves. In pytest
the fixture `inline` gives a fresh one. `past_run` takes what a node was given in some execution, and what became of it,
as a fixture; `saved_run` the same out of a file.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from twingraph.testing.inline import Inline
    from twingraph.testing.outcomes import sequence, takes
    from twingraph.testing.past import PastRun, past_run, saved_run

__all__ = ["Inline", "PastRun", "past_run", "saved_run", "sequence", "takes"]

_HOMES = {"Inline": "inline", "PastRun": "past", "past_run": "past", "saved_run": "past"}


def __getattr__(name: str) -> object:
    """On first use: whoever takes one double alone does not pay for the others."""
    if name not in __all__:
        raise AttributeError(f"module 'twingraph.testing' has no attribute {name!r}")
    from importlib import import_module

    home = _HOMES.get(name, "outcomes")
    value = getattr(import_module(f"twingraph.testing.{home}"), name)
    globals()[name] = value
    return value
