"""How a broker stands, for people: nothing is sent, declared or changed."""

from __future__ import annotations

from typing import NamedTuple

from twingraph.core.errors import MissingExtraError

PATIENCE = 3.0  # s, of each step of a connection


class BrokerHealth(NamedTuple):
    place: str  # its address, without a password
    server: str = ""  # its name and version
    wrong: str | None = None  # why it cannot be used
    risk: str | None = None  # how it may lose what it was given,
    remedy: str | None = None  # and what is done against that


def look(url: str) -> BrokerHealth:
    """Connects as workers do. MissingExtraError without the clients."""
    try:
        from kombu.utils.url import maybe_sanitize_url
    except ImportError as error:
        raise MissingExtraError("a broker (TWINGRAPH_BROKER_URL)", "celery") from error
    found = BrokerHealth(maybe_sanitize_url(url))
    return _redis(url, found) if url.startswith("redis") else _rabbitmq(url, found)


def _redis(url: str, found: BrokerHealth) -> BrokerHealth:
    import redis

    try:
        with redis.Redis.from_url(url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE) as client:
            told = client.info()
            policy = client.info("memory").get("maxmemory_policy", "noeviction")
    except (redis.RedisError, OSError, ValueError) as error:
        return found._replace(wrong=_said(error))
    assert isinstance(told, dict)
    found = found._replace(server=f"Redis {told.get('redis_version', '')}".strip())
    if policy != "noeviction":
        risk = f"it throws messages away when its memory is full (maxmemory-policy {policy})"
        return found._replace(risk=risk, remedy="set maxmemory-policy to noeviction")
    if not told.get("aof_enabled"):
        risk = "it forgets what it was given since its last snapshot when it ends (appendonly no)"
        return found._replace(risk=risk, remedy="set appendonly to yes; what is lost is dispatched again, and late")
    return found


def _rabbitmq(url: str, found: BrokerHealth) -> BrokerHealth:
    from amqp.exceptions import AMQPError
    from kombu import Connection

    try:
        with Connection(url, connect_timeout=PATIENCE, transport_options={"max_retries": 0}) as connection:
            told = connection.connection.server_properties
    except (AMQPError, OSError, ValueError) as error:
        return found._replace(wrong=_said(error))
    return found._replace(server=f"{told.get('product', 'AMQP')} {told.get('version', '')}".strip())


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
