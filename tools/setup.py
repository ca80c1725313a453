"""`make up`: an environment from nothing but Python, then the first example."""

import os
import subprocess
import sys

from tools.environments import ROOT, environment_of
from tools.pythons import main_python

NEXT = """
It works. What to try next:

  source .venv/bin/activate        the `twingraph` command, in this shell
  twingraph show last              what has just happened, node by node
  twingraph new first              a first workflow of your own
"""


def main() -> int:
    os.chdir(str(ROOT))
    environment = environment_of(main_python(), main=True)
    environment.ensure("run")
    example = subprocess.run([environment.interpreter, os.path.join("examples", "hello.py")])
    if example.returncode == 0:
        sys.stdout.write(NEXT)
    return example.returncode


if __name__ == "__main__":
    sys.exit(main())
