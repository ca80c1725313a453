"""`pause`: what runs is asked, what does not run is told apart."""

from __future__ import annotations

from tests.unit.cli.double import MemoryBackend, MemoryReader, failed_tour, make_console, make_view, written
from twingraph.cli.entry import main
from twingraph.core.execution import ExecutionView
from twingraph.core.statuses import ExecutionStatus


def pause(view: ExecutionView) -> tuple[int, str, str]:
    console = make_console()
    code = main(("pause", "last"), backend=MemoryBackend(reader=MemoryReader(views=[view])), console=console)
    return code, written(console.out), written(console.err)


def test_a_running_one_is_paused_and_says_how_to_go_on() -> None:
    code, out, err = pause(make_view([], ExecutionStatus.RUNNING, owner="alive"))
    assert (code, out.split()[0]) == (0, "paused")
    assert "twingraph resume exec-" in err


def test_a_paused_one_stays_so() -> None:
    assert pause(make_view([], ExecutionStatus.PAUSED))[0] == 0


def test_what_is_over_or_has_lost_its_process_is_not() -> None:
    assert "already ended" in pause(failed_tour())[2]
    code, _, err = pause(make_view([], ExecutionStatus.RUNNING, owner="gone"))
    assert code == 1
    assert "its process is gone; twingraph resume" in err
