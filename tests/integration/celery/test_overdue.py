"""RabbitMQ cuts off who owes it an acknowledgement for too long; here that is seconds, on a broker of our own."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.brokers import only_with_rabbitmq
from tests.support.workers import Party
from tools.services.rabbitmq import RabbitMQ
from twingraph import Workflow, component, wiring
from twingraph.settings import load

IMPATIENT = "\nconsumer_timeout = 3000\n"
LOOKS_OFTEN = "-rabbit channel_tick_interval 500"
# A worker that acknowledges after one second what it would after five minutes.
WORKER = """
from twingraph.dispatch.celery import deliveries
deliveries.OWED_SECONDS = 1.0
from twingraph.cli import main
import sys
sys.exit(main(["worker", "--concurrency", "1"]))
"""


class Impatient(RabbitMQ):
    def prepare(self) -> None:
        super().prepare()
        with (self.data / "rabbitmq.conf").open("a") as file:
            file.write(IMPATIENT)

    def surroundings(self) -> dict[str, str]:
        usual = super().surroundings()
        words = "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"
        return {**usual, words: f"{usual[words]} {LOOKS_OFTEN}"}


@component
def slow(folder: str, number: int) -> int:
    import time

    with open(f"{folder}/begun", "a") as file:
        file.write(f"{number}\n")
    time.sleep(6)
    return number


@only_with_rabbitmq
@pytest.mark.timeout(180)
def test_lanes_that_take_longer_than_the_broker_allows_run_once_and_the_worker_lives(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "party" / "blobs").mkdir(parents=True)
    broker = Impatient(tmp_path / "broker")
    broker.start()
    here = Party(tmp_path / "party", broker)
    try:
        worker = here.begin(command=[sys.executable, "-c", WORKER], more={"TWINGRAPH_LANES": "2"})
        worker.wait_ready()
        for name, value in here.surroundings.items():
            monkeypatch.setenv(name, value)
        workflow = Workflow("slow")
        for number in range(3):  # more than there is room for: some wait while others are overdue
            workflow.add_component(f"n{number}", slow, folder=str(tmp_path), number=number)
        began = time.monotonic()
        runtime = wiring.runtime(settings=load({"home": str(home), "dispatch": "celery"}))
        handle = runtime.submit(workflow.compile(), {})
        assert handle.wait(120)
        assert handle.status == "completed", handle.error
        assert time.monotonic() - began > 6
        assert Counter((tmp_path / "begun").read_text().split()) == {str(number): 1 for number in range(3)}
        assert worker.process.poll() is None
        assert "406" not in worker.said()
    finally:
        wiring.close_all(wait=False)
        for one in here.workers:
            one.kill()
        broker.stop()
