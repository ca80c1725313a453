"""Every service by its name."""

from typing import Dict, List, Type

from tools.services.base import Service, ServiceError
from tools.services.docker import Docker
from tools.services.postgres import Postgres
from tools.services.rabbitmq import RabbitMQ
from tools.services.redis import Redis
from tools.services.s3 import S3

SERVICES: Dict[str, Type[Service]] = {kind.name: kind for kind in (Docker, Postgres, RabbitMQ, Redis, S3)}


def service(name: str) -> Service:
    if name not in SERVICES:
        raise ServiceError(f"there is no service {name!r}; there are {', '.join(sorted(SERVICES))}")
    return SERVICES[name]()


def services(names: List[str]) -> List[Service]:
    """Those of these names; without any, all that this machine can have."""
    if names:
        return [service(name) for name in names]
    return [found for found in map(service, sorted(SERVICES)) if found.cannot() is None]
