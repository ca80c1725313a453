"""A service lives as long as somebody uses it."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tools.services.catalog import service
from tools.services.use import use


@pytest.mark.parametrize("name", ["postgres", "s3"])
def test_who_comes_second_finds_the_same_and_may_leave(name: str) -> None:
    with use(name) as first:
        with use(name) as second:
            assert second == first
        assert service(name).answers(service(name).port())


def test_the_s3_endpoint_refuses_who_has_no_key() -> None:
    with use("s3") as surroundings, pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(surroundings["AWS_ENDPOINT_URL_S3"], timeout=5)
