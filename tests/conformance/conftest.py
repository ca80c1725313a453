"""The matrix of promises is printed where its cells have run, also when they ran in several processes."""

from __future__ import annotations

import pytest

from tests.conformance.cases import CASES
from tests.conformance.lacks import LACKS
from tests.conformance.matrix import Cell, drawn

CELL = "conformance_cell"
_fared: dict[Cell, str] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    params = getattr(getattr(item, "callspec", None), "params", {})
    if "pair" in params and "name" in params:
        item.user_properties.append((CELL, (*params["pair"], params["name"])))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, cell in report.user_properties:
        if name == CELL and (report.failed or report.when == "call"):
            dispatch, platform, case = (str(part) for part in cell)  # type: ignore[attr-defined]
            _fared[dispatch, platform, case] = "FAILED" if report.failed else "held"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _fared:
        pairs = sorted({(dispatch, platform) for dispatch, platform, _ in _fared})
        terminalreporter.section("promises, by dispatch and platform")
        terminalreporter.write_line(drawn(pairs, CASES, _fared, LACKS))
