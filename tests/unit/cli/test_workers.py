"""`worker` and `status`: words in, words out."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.cli.double import MemoryBackend, make_console, written
from twingraph.cli.entry import main

BROKER = "redis://127.0.0.1:6379/0"
WORKER: dict[str, Any] = {
    "worker": "w@here",
    "queues": ["default", "gpu"],
    "lanes": 1,
    "runs": 3,
    "ran": 7,
    "bodies": 2,
    "draining": False,
    "running": [["exec-1", "split"]],
}


def test_a_worker_serves_the_queues_that_it_is_told_with_so_many_processes() -> None:
    backend = MemoryBackend()
    words = ("worker", "--broker", BROKER, "--queues", "default, gpu", "--concurrency", "3")
    assert main(words, backend=backend, console=make_console()) == 0
    assert backend.asked == [f"work {BROKER} 3 default,gpu"]


def test_a_worker_holds_as_many_lanes_and_bodies_as_it_is_told() -> None:
    backend = MemoryBackend()
    assert main(("worker", "--lanes", "5", "--bodies", "0"), backend=backend, console=make_console()) == 0
    given = backend.worked
    assert given is not None
    assert (given.lanes, given.bodies) == (5, 0)


def test_the_limits_of_a_worker_are_sizes_and_numbers() -> None:
    backend = MemoryBackend()
    words = ("worker", "--max-nodes-per-process", "50", "--max-memory-per-process", "512Mi", "--max-memory", "2G")
    assert main(words, backend=backend, console=make_console()) == 0
    given = backend.worked
    assert given is not None
    assert (given.max_nodes_per_process, given.max_memory_per_process, given.max_memory) == (50, 512 << 20, 2 * 10**9)


def test_a_limit_that_is_no_size_is_wrong_use() -> None:
    console = make_console()
    assert main(("worker", "--max-memory", "much"), backend=MemoryBackend(), console=console) == 2
    assert "--max-memory: 'much' is not a number of bytes" in written(console.err)


def test_a_number_of_processes_that_is_none_is_wrong_use_and_named_as_it_was_given() -> None:
    console = make_console()
    assert main(("worker", "--concurrency", "0"), backend=MemoryBackend(), console=console) == 2
    assert "--concurrency: must be a whole number from 1, not '0'" in written(console.err)
    assert "--workers" not in written(console.err)


def test_a_worker_of_no_queue_is_wrong_use() -> None:
    console = make_console()
    assert main(("worker", "--queues", ","), backend=MemoryBackend(), console=console) == 2
    assert "--queues names no queue" in written(console.err)


def test_a_broker_of_an_unknown_kind_is_wrong_use() -> None:
    console = make_console()
    assert main(("worker", "--broker", "http://here"), backend=MemoryBackend(), console=console) == 2
    assert "--broker: http://... is neither redis://" in written(console.err)


def test_the_status_says_who_serves_what_and_what_runs_where() -> None:
    console = make_console()
    backend = MemoryBackend(worker_states={"workers": [WORKER], "queues": {"default": 2, "gpu": 0}, "unserved": []})
    assert main(("status",), backend=backend, console=console) == 0
    out = written(console.out)
    assert "default  2 waiting" in out
    assert "w@here  serves default, gpu  3 held in 1 lanes, 7 done, bodies in 2 processes" in out
    assert "runs exec-1 split" in out


def test_the_status_names_the_queues_that_nobody_serves_and_the_remedy() -> None:
    console = make_console()
    states = {"workers": [WORKER], "queues": {"big one": 4, "default": 0}, "unserved": ["big one"]}
    assert main(("status",), backend=MemoryBackend(worker_states=states), console=console) == 0
    assert "big one  4 waiting" in written(console.out)
    said = written(console.err)
    assert "no worker serves the queue big one; start one: twingraph worker --queues 'big one'" in said
    assert "no worker answers" not in said


def said_of(*workers: dict[str, Any], unserved: tuple[str, ...] = ()) -> tuple[str, str]:
    console = make_console()
    states = {"workers": list(workers), "queues": {"default": 1, "gpu": 0}, "unserved": list(unserved)}
    assert main(("status",), backend=MemoryBackend(worker_states=states), console=console) == 0
    return written(console.out), written(console.err)


def test_the_status_tells_that_a_worker_ends_and_which_queues_then_nobody_serves() -> None:
    ends = {**WORKER, "draining": True}
    out, err = said_of(ends, {**WORKER, "worker": "v@here", "queues": ["gpu"]}, unserved=("default",))
    assert "w@here  ends default, gpu" in out
    assert "v@here  serves gpu" in out
    assert "no worker serves the queue default but one that is about to end; start another: twingraph worker" in err
    assert "gpu" not in err


def test_the_status_tells_which_workers_have_another_key() -> None:
    stranger = {**WORKER, "worker": "v@here", "same_key": False}
    out, err = said_of(stranger, unserved=("default",))
    assert "v@here  serves default, gpu  3 held in 1 lanes, 7 done, bodies in 2 processes, has another key" in out
    for queue in ("default", "gpu"):
        assert f"whoever serves the queue {queue} has another key and refuses what is sent" in err
    out, err = said_of(stranger, {**WORKER, "same_key": True})
    assert "a worker that serves the queue gpu has another key and throws away what it gets" in err
    assert "refuses" not in err


def test_the_status_without_workers_says_how_to_start_one() -> None:
    console = make_console()
    assert main(("status",), backend=MemoryBackend(), console=console) == 0
    assert "twingraph worker" in written(console.err)


def test_the_status_is_one_document() -> None:
    console = make_console()
    states = {"workers": [WORKER], "queues": {"default": 0}, "unserved": []}
    assert main(("status", "--json"), backend=MemoryBackend(worker_states=states), console=console) == 0
    assert json.loads(written(console.out)) == states
