"""`make soak`: every long proof (a test marked `soak`), and a dated line about each in `docs/soak-log.md`."""

import datetime
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import List

from tools.environments import ROOT, environment_of
from tools.pythons import main_python

LOG = ROOT / "docs" / "soak-log.md"
REPORT = ROOT / ".cache" / "reports" / "soak.xml"
LIMIT_SECONDS = 7200


def machine(python: str) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {python}"


def verdict(case: ElementTree.Element) -> str:
    """What the report says of one proof, with the properties that the proof recorded about itself."""
    broken = [child for child in case if child.tag in ("failure", "error", "skipped")]
    told = [f"{item.get('name')} {item.get('value')}" for item in case.iter("property")]
    words = [broken[0].tag if broken else "held", *told, f"{float(case.get('time', '0')):.0f} s"]
    return ", ".join(words)


def lines(report: Path, day: str, where: str) -> List[str]:
    cases = ElementTree.parse(str(report)).getroot().iter("testcase")
    return [
        "| {} | {} | {} | {} |\n".format(
            day, where, case.get("name", "").replace("test_", "", 1).replace("_", " "), verdict(case)
        )
        for case in cases
    ]


def main() -> int:
    environment = environment_of(main_python(), main=True)
    environment.ensure("dev")
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    if REPORT.exists():
        REPORT.unlink()
    command = [environment.interpreter, "-m", "pytest", "-m", "soak", "--timeout", str(LIMIT_SECONDS)]
    command += ["--junit-xml", str(REPORT), "tests", *sys.argv[1:]]
    code = subprocess.run(command, cwd=str(ROOT), stdin=subprocess.DEVNULL).returncode
    if REPORT.exists():
        day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        with LOG.open("a", encoding="utf-8") as log:
            log.writelines(lines(REPORT, day, machine(environment.python.name)))
    return code


if __name__ == "__main__":
    sys.exit(main())
