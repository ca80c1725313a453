"""Real brokers: which of them this machine has, and one of a test's own, which it may stop, kill and empty."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.services.base import Service
from tools.services.catalog import SERVICES, service


def _is_here(name: str) -> bool:
    found = service(name)
    return found.cannot() is None and found.installed()


HAS_REDIS, HAS_RABBITMQ = _is_here("redis"), _is_here("rabbitmq")
only_with_redis = pytest.mark.only_where(HAS_REDIS, "needs Redis: python -m tools.services install redis")
only_with_rabbitmq = pytest.mark.only_where(HAS_RABBITMQ, "needs RabbitMQ: python -m tools.services install rabbitmq")
# A parameter for each broker.
BROKERS = [pytest.param("redis", marks=only_with_redis), pytest.param("rabbitmq", marks=only_with_rabbitmq)]


@contextmanager
def own_broker(name: str) -> Iterator[Service]:
    """One that nobody else knows; it runs when the block begins."""
    with tempfile.TemporaryDirectory(prefix="twingraph-broker-") as folder:
        broker = SERVICES[name](Path(folder))
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()


def url_of(broker: Service) -> str:
    return broker.environment(broker.port())["TWINGRAPH_BROKER_URL"]
