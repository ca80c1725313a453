"""Who holds what, told from what workers say and from their silence; time is handed in."""

from __future__ import annotations

from twingraph.dispatch.base import CodeRef, Lane, NodeRun, RunSettings
from twingraph.dispatch.celery.holding import (
    MISSING_SECONDS,
    SILENCE_SECONDS,
    SUSPICIOUS,
    TRIAL_SECONDS,
    UNTAKEN_SECONDS,
    VANISH_LIMIT,
    Gone,
    Holding,
    Sent,
)

CODE = CodeRef(version="v", bundle_path="", interpreter="", working_dir="")
SETTINGS = RunSettings(component="c", entry="c")
LONG = SILENCE_SECONDS + 1


class Scene:
    def __init__(self) -> None:
        self.holding = Holding()
        self.count = 0
        self.said = 0

    def send(self, *nodes: str, now: float = 0, attempt: int = 1) -> Sent:
        self.count += 1
        runs = [NodeRun(node, attempt, []) for node in nodes]
        return self.holding.send(str(self.count), Lane(self.count, "e", CODE, SETTINGS, runs), "q", now)

    def says(self, worker: str, now: float = 0) -> None:
        self.said += 1
        assert self.holding.heard(worker, self.said, now)

    def missed(self, now: float) -> list[Gone]:
        """What two looks into an empty queue tell."""
        assert self.holding.vanished(["q"], now) == []
        return self.holding.vanished(["q"], now + 2 * MISSING_SECONDS)

    def taken(self, worker: str, *nodes: str) -> Sent:
        sent = self.send(*nodes)
        self.says(worker)
        assert self.holding.taken(worker, sent.id)
        return sent

    def bury(self, gone: list[Gone]) -> dict[str, bool]:
        for one in gone:
            self.holding.close(one.sent, one.run.node, ended=one.for_good)
        return {one.run.node: one.charged for one in gone}


def test_who_speaks_is_not_lost() -> None:
    scene = Scene()
    scene.taken("w", "a")
    scene.says("w", now=5)
    assert scene.holding.silent(5 + SILENCE_SECONDS) == []


def test_what_a_silent_worker_held_is_lost_and_the_only_one_is_charged() -> None:
    scene = Scene()
    scene.taken("w", "a", "b")
    assert scene.bury(scene.holding.silent(LONG)) == {"a": True, "b": False}
    assert scene.holding.all() == []


def died_with(scene: Scene, *nodes: str) -> dict[str, bool]:
    """A worker that had begun all of these."""
    scene.count += 1
    name = f"w{scene.count}"
    for node in nodes:
        scene.taken(name, node)
    return scene.bury(scene.holding.silent(LONG))


def test_of_several_that_had_begun_none_is_charged() -> None:
    scene = Scene()
    scene.taken("w", "a", "b")
    scene.taken("w", "c")
    assert scene.bury(scene.holding.silent(LONG)) == {"a": False, "b": False, "c": False}
    assert not any(scene.holding.is_suspect("e", node) for node in "abc")


def test_who_was_there_at_every_death_is_a_suspect() -> None:
    scene = Scene()
    died_with(scene, "a", "b")
    died_with(scene, "a", "c")
    assert [scene.holding.is_suspect("e", node) for node in "abc"] == [True, False, False]


def test_the_suspect_that_was_out_alone_is_charged_whatever_ran_beside_it() -> None:
    scene = Scene()
    for _ in range(SUSPICIOUS):
        died_with(scene, "a", "b")
    assert not scene.holding.suspect_is_out(0)
    scene.taken("v", "a").alone = True
    scene.taken("v", "innocent")
    assert scene.holding.suspect_is_out(0)
    assert scene.bury(scene.holding.silent(LONG)) == {"a": True, "innocent": False}
    assert not scene.holding.is_suspect("e", "innocent")


def test_who_has_lived_long_enough_lets_the_next_one_go() -> None:
    scene = Scene()
    died_with(scene, "a", "b")
    scene.taken("v", "a").alone = True
    assert scene.holding.suspect_is_out(TRIAL_SECONDS - 1)
    assert not scene.holding.suspect_is_out(TRIAL_SECONDS + 1)


def test_who_ends_by_itself_is_no_suspect_any_more() -> None:
    scene = Scene()
    died_with(scene, "a", "b")
    scene.holding.close(scene.taken("v", "a"), "a")
    died_with(scene, "a", "b")
    assert scene.holding.is_suspect("e", "b")
    assert not scene.holding.is_suspect("e", "a")


def test_what_is_known_to_have_begun_is_charged_rather_than_the_first() -> None:
    scene = Scene()
    sent = scene.taken("w", "a", "b", "c")
    scene.says("w")
    scene.holding.beat("w", {sent.id: ["b"]})
    assert scene.bury(scene.holding.silent(LONG)) == {"a": False, "b": True, "c": False}


def test_a_second_worker_may_not_keep_what_another_holds() -> None:
    scene = Scene()
    sent = scene.taken("w", "a")
    scene.says("v")
    assert not scene.holding.taken("v", sent.id)
    assert scene.holding.beat("v", {sent.id: []}) == ([sent.id], [])


def test_what_its_holder_does_not_know_of_twice_is_lost() -> None:
    scene = Scene()
    scene.taken("w", "a")
    assert scene.holding.beat("w", {}) == ([], [])
    assert scene.bury(scene.holding.beat("w", {})[1]) == {"a": False}


def test_a_message_counts_once() -> None:
    holding = Holding()
    assert [holding.heard("w", number, 0) for number in (1, 2, 1, 3, 2)] == [True, True, False, True, False]


def test_an_older_attempt_is_nobodys() -> None:
    scene = Scene()
    sent = scene.send("a", attempt=2)
    assert scene.holding.find("e", "a", 1) is None
    assert scene.holding.find("e", "a", 2) is sent


def test_what_waits_in_its_queue_is_not_lost() -> None:
    scene = Scene()
    scene.send("a")
    assert scene.holding.overdue(UNTAKEN_SECONDS + 1) == {"q"}
    assert scene.holding.vanished([], 1000) == []


def test_what_nobody_took_out_of_an_empty_queue_is_lost() -> None:
    scene = Scene()
    scene.send("a")
    assert scene.holding.vanished(["q"], UNTAKEN_SECONDS) == []
    assert scene.bury(scene.missed(UNTAKEN_SECONDS + 1)) == {"a": False}


def test_what_somebody_may_just_have_taken_is_not_lost() -> None:
    scene = Scene()
    sent = scene.send("a")
    late = UNTAKEN_SECONDS + 1
    assert scene.holding.vanished(["q"], late) == []
    assert scene.holding.vanished([], late + 1) == []  # it was requeued meanwhile, say
    assert scene.holding.vanished(["q"], late + 2) == []
    assert scene.holding.vanished(["q"], late + 2 + MISSING_SECONDS / 2) == []
    scene.says("w")
    assert scene.holding.taken("w", sent.id)
    assert scene.holding.vanished(["q"], late + 9) == []


def test_what_later_ones_have_overtaken_is_lost() -> None:
    scene = Scene()
    scene.send("a")
    scene.taken("w", "b")
    assert scene.holding.overdue(1) == set()  # that it was passed is noted long before it is overdue
    assert scene.holding.vanished([], UNTAKEN_SECONDS + 1) == []
    assert scene.bury(scene.holding.vanished([], UNTAKEN_SECONDS + 2)) == {"a": False}


def test_what_vanishes_again_and_again_is_given_up() -> None:
    scene = Scene()
    for time in range(1, VANISH_LIMIT + 1):
        scene.send("a")
        gone = scene.missed(UNTAKEN_SECONDS + 1)
        assert [one.for_good for one in gone] == [time == VANISH_LIMIT]
        scene.bury(gone)


def test_what_vanishes_where_others_are_taken_is_sent_again() -> None:
    scene = Scene()
    for _ in range(VANISH_LIMIT + 1):
        scene.send("a")
        gone = scene.missed(UNTAKEN_SECONDS + 1)
        assert [(one.for_good, one.charged) for one in gone] == [(False, False)]
        scene.bury(gone)
        scene.taken("w", "other")
    assert not scene.holding.is_suspect("e", "a")


def test_who_vanishes_whenever_workers_die_goes_alone_and_is_charged_then() -> None:
    scene = Scene()
    for turn in range(SUSPICIOUS):
        worker = f"w{turn}"
        scene.taken(worker, f"other{turn}")
        scene.send("a", "b")
        scene.bury(scene.holding.silent(LONG))
        assert scene.bury(scene.missed(LONG)) == {"a": False, "b": False}
    assert scene.holding.is_suspect("e", "a")
    assert not scene.holding.is_suspect("e", "b")
    scene.taken("last", "another")
    scene.send("a").alone = True
    scene.bury(scene.holding.silent(LONG))
    assert scene.bury(scene.missed(LONG)) == {"a": True}


def test_after_we_could_not_hear_nobody_was_silent() -> None:
    scene = Scene()
    scene.taken("w", "a")
    scene.send("b")
    scene.holding.begin_anew(100)
    assert scene.holding.silent(100 + SILENCE_SECONDS) == []
    assert scene.holding.overdue(100 + UNTAKEN_SECONDS) == set()


def test_nothing_is_kept_of_what_is_over() -> None:
    scene = Scene()
    sent = scene.taken("w", "a", "b")
    for node in "ab":
        scene.holding.close(sent, node)
    assert scene.holding.get(sent.id) is None
    assert list(scene.holding.of("e", None)) == []
    assert scene.holding.beat("w", {sent.id: []}) == ([sent.id], [])


def test_who_is_silent_for_it_has_nothing_to_do_did_not_die() -> None:
    scene = Scene()
    scene.holding.close(scene.taken("idle", "done"), "done")
    for _ in range(SUSPICIOUS):
        scene.says("idle")
        scene.send("a")
        assert scene.holding.silent(LONG) == []
        scene.bury(scene.missed(LONG))
    assert not scene.holding.is_suspect("e", "a")


def test_nobody_is_suspected_in_an_execution_that_has_left() -> None:
    scene = Scene()
    for _ in range(SUSPICIOUS):
        died_with(scene, "a")
    assert scene.holding.is_suspect("e", "a")
    scene.holding.forget("another")
    assert scene.holding.is_suspect("e", "a")
    scene.holding.forget("e")
    assert not scene.holding.is_suspect("e", "a")


def test_what_a_worker_had_no_room_for_waits_anew_and_is_not_missed() -> None:
    scene = Scene()
    first, second = scene.send("a"), scene.send("b")
    scene.says("w")
    assert scene.holding.taken("w", second.id)
    scene.holding.overdue(1)
    scene.holding.requeued(first.id, 5)
    scene.holding.overdue(5)
    late = 5 + UNTAKEN_SECONDS + 1
    assert scene.holding.overdue(late) == {"q"}
    assert scene.holding.vanished([], late) == []
    third = scene.send("c", now=late)
    assert scene.holding.taken("w", third.id)
    scene.holding.overdue(late)
    assert scene.bury(scene.holding.vanished([], late + UNTAKEN_SECONDS + 1)) == {"a": False}


def test_what_somebody_has_is_not_changed_by_who_had_no_room_for_it() -> None:
    scene = Scene()
    sent = scene.taken("w", "a")
    scene.holding.requeued(sent.id, 5)
    scene.holding.requeued("unknown", 5)
    assert (sent.at, sent.holder) == (0, "w")
