"""A way to the database that can be cut."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.cutting_proxy import CuttingProxy


@pytest.fixture
def proxy(postgres: str) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(urlsplit(postgres).port or 0)
    yield proxy
    proxy.close()


@pytest.fixture
def through(postgres: str, proxy: CuttingProxy) -> str:
    """The URL of the database by that way."""
    return postgres.replace(f":{urlsplit(postgres).port}/", f":{proxy.port}/")
