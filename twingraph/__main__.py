"""`python -m twingraph` is the same program as `twingraph`."""

import sys

from twingraph.cli import main

if __name__ == "__main__":
    sys.exit(main())
