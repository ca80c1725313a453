from __future__ import annotations

import pytest

from twingraph.core.quantities import byte_count, seconds_text, unit_count


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5), ("5", 5), ("512Mi", 512 << 20), ("2GB", 2 * 10**9), ("2G", 2 * 10**9), ("16Gi", 16 << 30),
        ("1.5 g", 1_500_000_000), ("100k", 100_000), (" 1 GiB ", 1 << 30), ("7b", 7),
    ],
)  # fmt: skip
def test_bytes(value: object, expected: int) -> None:
    assert byte_count(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(2, 2), (0.5, 0.5), ("1.0", 1), ("500m", 0.5), ("2", 2), (".25", 0.25)]
)
def test_cores(value: object, expected: float) -> None:
    assert unit_count(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        True,
        None,
        "much",
        "",
        "-1",
        -1,
        "1x",
        "1 2",
        [],
        float("inf"),
        float("nan"),
        "1e3",
        "\u0663",
        10**400,
        "9" * 400,
    ],
)
def test_what_is_no_amount_is_named(value: object) -> None:
    for read in (byte_count, unit_count):
        with pytest.raises(ValueError, match="is not a number of"):
            read(value)


def test_more_bytes_than_can_be_counted_are_no_amount() -> None:
    with pytest.raises(ValueError, match="is not a number of bytes"):
        byte_count("9" * 300 + "P")


def test_a_thousandth_of_a_byte_is_no_amount() -> None:
    assert byte_count("500M") == 500_000_000
    with pytest.raises(ValueError, match="'2G'"):
        unit_count("2G")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.5, "0.5s"), (90, "90s"), (100, "1m40s"), (3600, "1h"), (5400, "1h30m"), (604_800, "7d"), (90_061, "1d1h")],
)
def test_seconds_are_said_as_they_may_be_written(seconds: float, said: str) -> None:
    assert seconds_text(seconds) == said
