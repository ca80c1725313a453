"""Each long proof leaves one line in the log, whichever way it ended."""

from __future__ import annotations

from pathlib import Path

from tools import soak

REPORT = """<testsuites><testsuite>
<testcase name="test_two_kills" time="12.4"><properties><property name="kills" value="2"/></properties></testcase>
<testcase name="test_many_lives" time="3.0"><failure message="no"/></testcase>
</testsuite></testsuites>"""


def test_a_line_for_each_proof(tmp_path: Path) -> None:
    report = tmp_path / "soak.xml"
    report.write_text(REPORT)
    assert soak.lines(report, "2026-01-31", "2 cores") == [
        "| 2026-01-31 | 2 cores | two kills | held, kills 2, 12 s |\n",
        "| 2026-01-31 | 2 cores | many lives | failure, 3 s |\n",
    ]


def test_the_log_ends_as_a_table() -> None:
    last = soak.LOG.read_text(encoding="utf-8").splitlines()[-1]
    assert last.startswith("|")
    assert last.endswith("|")
