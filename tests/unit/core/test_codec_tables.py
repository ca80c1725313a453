"""Arrays, tables and models come back equal, may be written to, and leave their blob as it was."""

from __future__ import annotations

import typing
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pydantic
import pytest

from twingraph.core.codec import decode, encode, hash_text, plain, preview
from twingraph.store.blobs.base import BlobStore
from twingraph.store.blobs.local import LocalBlobs
from twingraph.store.blobs.memory import MemoryBlobs

KEY = b"a key for tests"


@pytest.fixture(params=["memory", "local"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return MemoryBlobs() if request.param == "memory" else LocalBlobs(tmp_path)


def back(value: object, blobs: BlobStore) -> typing.Any:
    encoded = encode(value, blobs=blobs, pickle=True, key=KEY)
    assert hash_text(encoded.text) == encoded.hash
    found = decode(encoded.text, blobs=blobs, pickle=True, key=KEY)
    assert encode(found, blobs=blobs, pickle=True, key=KEY).hash == encoded.hash
    assert type(found) is type(value)
    return found


ARRAYS = [
    np.arange(20000.0), np.arange(20000).reshape(100, 200)[:, ::2], np.arange(12).reshape(3, 4).T, np.zeros((0, 3)),
    np.array(5), np.array([1, "a"], dtype=object), np.array(["a", "é"]), np.array(["2020"], dtype="M8[D]"),
    np.zeros(30000, dtype=[("a", "i4"), ("b", "f8")])[::2], np.arange(40000.0).reshape(200, 200).T, np.arange(5)[::-1],
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ARRAYS)))
def test_arrays(number: int, blobs: BlobStore) -> None:
    found = back(ARRAYS[number], blobs)
    assert (found.dtype, found.shape) == (ARRAYS[number].dtype, ARRAYS[number].shape)
    assert np.array_equal(found, ARRAYS[number])


def test_writing_to_an_array_leaves_the_blob(blobs: BlobStore) -> None:
    text = encode(np.zeros(20000), blobs=blobs).text
    decode(text, blobs=blobs)[0] = 7
    assert decode(text, blobs=blobs)[0] == 0


SCALARS = [np.float64(1.5), np.int8(-3), np.bool_(True), np.datetime64("2020-01-01"), np.str_("")]


@pytest.mark.parametrize("value", SCALARS)
def test_numpy_scalars(value: object, blobs: BlobStore) -> None:
    assert back(value, blobs) == value


LARGE = pd.DataFrame({"a": range(9000), "b": ["x"] * 9000, "c": 1.5})
FRAMES = [
    LARGE, LARGE.head(3), LARGE.head(3).set_index("b"), pd.DataFrame({1: [1]}), pd.DataFrame({"a": [(1, 2), None]}),
    pd.DataFrame({"x": [1.0]}, index=pd.date_range("2020", periods=1, freq="D")), pd.DataFrame({"x": [1.0] * 20000}),
    pd.DataFrame({"c": pd.Categorical(["a", "b"], ordered=True)}), pd.DataFrame({"o": ["a", 1]}), pd.DataFrame(),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FRAMES)))
def test_pandas(number: int, blobs: BlobStore) -> None:
    frame = FRAMES[number]
    found = back(frame, blobs)
    pd.testing.assert_frame_equal(found, frame)
    if frame.size:
        found.iloc[0, 0] = frame.iloc[0, 0]
        pd.testing.assert_series_equal(back(frame.iloc[:, 0], blobs), frame.iloc[:, 0])


@pytest.mark.parametrize("rows", [2, 20000])
def test_polars_and_arrow(rows: int, blobs: BlobStore) -> None:
    data = {"a": list(range(rows)), "b": ["x"] * rows}
    frame, table = pl.DataFrame(data), pa.table(data)
    assert back(frame, blobs).equals(frame)
    assert back(frame["a"], blobs).equals(frame["a"])
    assert back(table, blobs).equals(table)
    batch = table.to_batches()[0]
    assert back(batch, blobs).equals(batch)
    assert preview(encode(frame, blobs=blobs).text) == f"DataFrame {rows}×2"  # noqa: RUF001


def test_chunks_do_not_change_the_hash() -> None:
    table = pa.table({"a": [1, 2, 3, 4]})
    cut = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert encode(cut).hash == encode(table).hash


class Model(pydantic.BaseModel, extra="allow"):
    a: int
    b: typing.Optional[Model] = None  # noqa: UP045
    _seen: int = pydantic.PrivateAttr(0)

    @pydantic.field_validator("a")
    @classmethod
    def doubled(cls, value: int) -> int:
        return value * 2


def test_a_model_comes_back_without_validation(blobs: BlobStore) -> None:
    model = Model(a=1, b=Model(a=2), c=(3,))  # type: ignore[call-arg]
    model._seen = 9
    found = back(model, blobs)
    assert found == model
    assert (found.a, found._seen, found.model_fields_set) == (2, 9, {"a", "b", "c"})
    assert plain(encode(model).text)["b"]["a"] == 4
