"""What a node holds outside its execution: named limits, and work that equal nodes anywhere wait for."""

from __future__ import annotations

from twingraph.engine.kernel.commands import ReleaseLimit, SettleCache
from twingraph.engine.kernel.state import Node, State


def settle_work(state: State, node: Node, *, completed: bool) -> None:
    """The node is over: whoever waits for its work hears whether there is an outcome. What was answered is settled."""
    own = completed and node.cached_from is None
    if node.owns or (node.asked == "cache" and (own or not completed)):
        node.owns = False
        state.commands.append(SettleCache(node.id, own))


def give_back(state: State, node: Node) -> None:
    """What the node holds, or stands in line for, is for others now, and it has to ask anew."""
    if node.granted or node.asked == "limit":
        node.granted = False
        state.commands.append(ReleaseLimit(node.id))
    if node.owns:
        node.owns = False
        state.commands.append(SettleCache(node.id, False))
