"""What a conductor and a host in another process say to each other comes through JSON unchanged."""

from __future__ import annotations

import json
from typing import Any

from twingraph.core import bodies_json
from twingraph.core.bodies import BodyLog, Ended, Items, Opened, Page, PastCall, PastDecision
from twingraph.core.events import DecisionMade, Event, GraphClosed, GraphExtended, NodeEnded
from twingraph.core.plan import Edge, Hole, NodeKind, NodeSpec, PlanNode, ScopeSettings, Source
from twingraph.core.policies import RetryPolicy
from twingraph.core.records import ErrorRecord

NODE = PlanNode(
    id="task2.step-2",
    spec=0,
    args={"x": ('{"a":', Hole(sources=(Source(node="step"),)), "}")},
    edges=(Edge(source="step", param="x"),),
)
BOUNDED = PlanNode(id="child", kind=NodeKind.SCOPE, spec=1, bounds=ScopeSettings(max_parallel=2))
SIGNAL = PlanNode(id="wait_for_signal", kind=NodeKind.SIGNAL, signal="go")
SCOPE = BOUNDED._replace(bounds=None)
ERROR = ErrorRecord(code="user_error", error_type="ValueError", message="no", types=("ValueError", "Exception"))
ENDED = Ended("step", 7, "completed", "plain", (("output", "abc", 3),), ('"x"',))
SPEC = NodeSpec(component="step", entry="m:step", outputs=("a", "b"), retry=RetryPolicy(max_attempts=3))


def _through(raw: Any) -> Any:
    return json.loads(json.dumps(raw))


def test_an_opening() -> None:
    opened = Opened("exec-1", "child/x", "m:body", (("x", "1"), ("y", '"\u2028"')))
    assert bodies_json.opened_from_json(_through(bodies_json.opened_to_json(opened))) == opened


def test_a_page_of_history() -> None:
    """Of a call what a body compares goes along, and no more."""
    compared = NODE._replace(edges=())
    page = Page(
        (
            PastCall("step", compared),
            PastDecision("1", "now", 12.5, "a.py:3"),
            PastCall("signal", SIGNAL),
            PastCall("child", SCOPE),
        ),
        (ENDED, Ended("bad", 8, "failed", error=ERROR), Ended("cut", 9, "skipped", reason="upstream")),
        (Items("rows", 2, ("1", "2")),),
        True,
    )
    told = page._replace(past=(PastCall("step", NODE), *page.past[1:3], PastCall("child", BOUNDED)))
    assert bodies_json.page_from_json(_through(bodies_json.page_to_json(told))) == page


def test_what_a_body_does() -> None:
    events: list[Event] = [
        GraphExtended((NODE, BOUNDED), scope="child", driven=True),
        GraphClosed("", ("1",), met=("bad",)),
        GraphClosed("child", error=ERROR),
        DecisionMade("", "now", 1.5, "1"),
        NodeEnded("side", 1, "completed", 1.0, 2.0, shape="plain", outputs=(("output", "abc", 1),)),
    ]
    for event in events:
        fed = bodies_json.fed_to_json(event, ["1"], [SPEC])
        assert bodies_json.fed_from_json(_through(fed)) == (event, ("1",), (SPEC,))
    assert bodies_json.fed_from_json(_through(bodies_json.fed_to_json(events[1], None, ())))[1:] == (None, ())


def test_what_a_body_prints() -> None:
    lines = [BodyLog(1.5, "info", "stdout", "hello")]
    assert bodies_json.logs_from_json(_through(bodies_json.logs_to_json(lines))) == lines
