"""`make lock`: resolve every set of packages anew and write the locks.

The locks carry hashes and no address, so that they hold wherever the packages are fetched from. All sets agree with the
largest one; `flink` cannot (its client needs older table libraries), so it is resolved for itself.
"""

import argparse
import subprocess
import sys
from typing import List

from tools.environments import LOCKS, ROOT, environment_of, uv_environment
from tools.pythons import OLDEST, main_python

AGREE = ["--constraint", str(LOCKS / "all.txt")]
SETS = {
    "all": ["pyproject.toml", "--extra", "all"],
    "base": ["pyproject.toml", *AGREE],
    "dev": ["pyproject.toml", "--group", "dev", *AGREE],
    "flink": ["pyproject.toml", "--extra", "flink"],
    "installer": ["--group", "installer", "--constraint", str(LOCKS / "dev.txt")],
}


def compile_command(uv: str, name: str, *, upgrade: bool) -> List[str]:
    flags = ["--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate"]
    flags += ["--python-version", ".".join(map(str, OLDEST))]
    flags += ["--upgrade"] if upgrade else []
    return [uv, "pip", "compile", *flags, *SETS[name], "--output-file", str(LOCKS / (name + ".txt"))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take newer versions than the locks have")
    upgrade = parser.parse_args().upgrade
    environment = environment_of(main_python(), main=True)
    environment.ensure("dev")
    for name in SETS:
        sys.stderr.write("lock: " + name + "\n")
        command = compile_command(str(environment.bin / "uv"), name, upgrade=upgrade)
        subprocess.run(command, check=True, cwd=str(ROOT), env=uv_environment())
    return 0


if __name__ == "__main__":
    sys.exit(main())
