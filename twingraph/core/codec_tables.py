"""Arrays and tables: npy and Arrow leaves. No library is imported here before a value needs it. Python 3.8 syntax."""

from __future__ import annotations

import importlib
import io
import json
from binascii import b2a_base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twingraph.core.codec_base import INLINE_LIMIT, CodecError

if TYPE_CHECKING:  # Python 3.8 cannot subscript it
    Handler = Callable[[Any, Any], Any]


def encoder_of(kind: type) -> Handler | None:
    """The encoder of a library's class, exact classes only: a subclass may carry more than its base."""
    library = kind.__module__.partition(".")[0]
    if library == "numpy":
        if kind.__name__ in ("ndarray", "memmap"):
            return _ndarray
        return _numpy_scalar if any(base.__name__ == "generic" for base in kind.__mro__) else None
    if library in ("pandas", "polars", "pyarrow"):
        return _TABLES.get(f"{library}.{kind.__name__}")
    return None


def need(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise CodecError(f"the value needs {name}: pip install {name}") from error


def _npy_header(value: Any) -> bytes | None:
    """Our own, because numpy's padding differs between its versions; None when npy cannot carry the type."""
    layout = need("numpy.lib.format")
    if value.dtype.hasobject:
        return None
    try:
        descr = layout.dtype_to_descr(value.dtype)
        if layout.descr_to_dtype(descr) != value.dtype:
            return None
    except Exception:  # types from outside numpy raise what they like
        return None
    fortran = bool(value.flags.f_contiguous and not value.flags.c_contiguous)
    shape = tuple(int(length) for length in value.shape)
    text = repr({"descr": descr, "fortran_order": fortran, "shape": shape}).encode("utf-8")
    version, width = (1, 2) if len(text) < 60000 and text.isascii() else (3, 4)
    padding = b" " * (-(len(text) + 7 + 2 + width) % 64) + b"\n"
    return b"\x93NUMPY" + bytes((version, 0)) + (len(text) + len(padding)).to_bytes(width, "little") + text + padding


def _write_npy(value: Any, header: bytes, sink: Any) -> None:
    numpy = need("numpy")
    sink.write(header)
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    if value.size and (value.flags.c_contiguous or value.flags.f_contiguous):
        flat = value.reshape(-1, order=order)
        per = max(1, (16 << 20) // max(1, value.itemsize))
        for start in range(0, flat.size, per):  # views of the array's own memory: nothing is copied
            sink.write(memoryview(flat[start : start + per].view(numpy.uint8)) if value.itemsize else b"")
    elif value.size:
        flags = ["external_loop", "buffered", "zerosize_ok"]
        for chunk in numpy.nditer(value, flags=flags, buffersize=1 << 20, order=order):
            sink.write(chunk.tobytes("C"))


def _ndarray(enc: Any, value: Any) -> Any:
    numpy = need("numpy")
    value = value.view(numpy.ndarray)
    header = _npy_header(value)
    if header is None:
        return enc.pickled(value)
    dtype = str(value.dtype) if value.dtype.names is None else "record"
    about = {"dtype": dtype, "shape": [int(n) for n in value.shape]}
    if len(header) + value.nbytes >= INLINE_LIMIT and enc.blobs is not None:
        return enc.streamed("npy", lambda sink: _write_npy(value, header, sink), **about)
    sink = io.BytesIO()
    _write_npy(value, header, sink)
    return enc.leaf("npy", sink.getvalue(), **about)


def _numpy_scalar(enc: Any, value: Any) -> Any:
    if value.dtype.hasobject or value.dtype.names is not None:
        return enc.pickled(value)
    item = value.item()
    shown = item if type(item) in (bool, int, float, str) else str(item)
    data = b2a_base64(value.tobytes(), newline=False).decode("ascii")
    return {"$": "npscalar", "dtype": value.dtype.str, "v": data, "shown": enc.tree(shown)}


def _arrow(enc: Any, table: Any, kind: str, shape: list[int], **properties: Any) -> Any:
    ipc = need("pyarrow.ipc")

    def write(sink: Any) -> None:
        with ipc.new_file(sink, table.schema) as writer:
            if hasattr(table, "to_batches"):
                writer.write_table(table)
            else:
                writer.write_batch(table)

    about = dict({"as": kind, "shape": shape}, **properties)
    if table.nbytes >= 4 * INLINE_LIMIT and enc.blobs is not None:  # surely above the limit when written
        return enc.streamed("arrow", write, **about)
    sink = io.BytesIO()
    write(sink)
    return enc.leaf("arrow", sink.getvalue(), **about)


def _one_chunk(table: Any) -> Any:
    """How a table was cut into chunks is no part of its value, and must not change its hash."""
    return table.combine_chunks() if any(column.num_chunks > 1 for column in table.columns) else table


def _pyarrow(enc: Any, value: Any) -> Any:
    if hasattr(value, "to_batches"):
        return _arrow(enc, _one_chunk(value), "table", list(value.shape))
    return _arrow(enc, value, "batch", [value.num_rows, value.num_columns])


def _pandas_table(frame: Any) -> Any:
    """The frame as Arrow, or None when Arrow would not give back the same frame."""
    pyarrow = importlib.import_module("pyarrow")
    for position in range(frame.shape[1]):
        column = frame.iloc[:, position]
        if column.dtype == object and not _one_kind(column):
            return None
    table = _one_chunk(pyarrow.Table.from_pandas(frame))
    metadata = dict(table.schema.metadata or {})
    about = json.loads(metadata.get(b"pandas", b"{}"))
    about["pandas_version"] = "1.0.0"  # equal frames must have equal bytes under every version of either library
    about["creator"] = {"library": "pyarrow", "version": "1.0.0"}
    metadata[b"pandas"] = json.dumps(about, sort_keys=True).encode("utf-8")
    table = table.replace_schema_metadata(metadata)
    back, empty = table.slice(0, 0).to_pandas(), frame.iloc[:0]
    same = list(back.dtypes) == list(empty.dtypes) and back.columns.equals(empty.columns)
    same = same and type(back.columns) is type(empty.columns) and back.columns.names == empty.columns.names
    same = same and back.index.names == empty.index.names and back.index.dtype == empty.index.dtype
    return table if same and not frame.attrs else None


def _one_kind(column: Any) -> bool:
    kinds = set(map(type, column)) - {type(None)}
    return kinds == {str} or kinds == {bytes}


def _pandas(enc: Any, value: Any, **series: Any) -> Any:
    frequency = getattr(value.index, "freqstr", None)
    try:
        table = _pandas_table(value)
    except Exception:  # no pyarrow, or a column that Arrow has no type for: each library raises its own
        table = None
    odd = value.index.dtype == object and not _one_kind(value.index)
    if table is None or odd or not value.flags.allows_duplicate_labels:
        return None
    if frequency and value.index.dtype.kind in "mM":
        series["freq"] = frequency
    return _arrow(enc, table, "series" if "name" in series else "pandas", [int(n) for n in value.shape], **series)


def _frame(enc: Any, value: Any) -> Any:
    return _pandas(enc, value) or enc.pickled(value)


def _series(enc: Any, value: Any) -> Any:
    return _pandas(enc, value.to_frame("value"), name=enc.child(value.name, ".name")) or enc.pickled(value)


def _polars(enc: Any, value: Any) -> Any:
    series = not hasattr(value, "columns")
    frame = value.to_frame() if series else value
    try:
        sink = io.BytesIO()
        frame.rechunk().write_ipc(sink, compression="uncompressed")
    except Exception:  # columns of Python objects
        return enc.pickled(value)
    shape = [int(n) for n in value.shape]
    return enc.leaf("arrow", sink.getbuffer(), **{"as": "polars_series" if series else "polars", "shape": shape})


_TABLES: dict[str, Handler] = {
    "pyarrow.Table": _pyarrow,
    "pyarrow.RecordBatch": _pyarrow,
    "pandas.DataFrame": _frame,
    "pandas.Series": _series,
    "polars.DataFrame": _polars,
    "polars.Series": _polars,
}


def read_npy(data: bytes | None, path: str | None) -> Any:
    """An array that may be written to without changing the blob: pages are copied when written."""
    numpy = need("numpy")
    if path is not None:
        try:
            return numpy.load(path, mmap_mode="c", allow_pickle=False).view(numpy.ndarray)
        except ValueError:  # an empty array cannot be mapped
            return numpy.load(path, allow_pickle=False)
    return numpy.load(io.BytesIO(data or b""), allow_pickle=False)


def read_scalar(tree: dict[str, Any], data: bytes) -> Any:
    numpy = need("numpy")
    dtype = numpy.dtype(tree["dtype"])
    return numpy.frombuffer(data, dtype=dtype)[0] if dtype.itemsize else dtype.type()


def read_arrow(tree: dict[str, Any], data: bytes | None, path: str | None) -> Any:
    """The table as the class it had."""
    kind = tree["as"]
    if kind.startswith("polars"):
        polars = need("polars")
        frame = polars.read_ipc(path if path is not None else io.BytesIO(data or b""))
        return frame.to_series() if kind == "polars_series" else frame
    pyarrow = need("pyarrow")
    source = pyarrow.memory_map(path) if path is not None else pyarrow.BufferReader(data)
    reader = need("pyarrow.ipc").open_file(source)
    if kind == "batch":
        return reader.get_batch(0)
    table = reader.read_all()
    if kind == "table":
        return table
    need("pandas")
    frame = table.to_pandas()
    if any(not block.flags.writeable for block in _blocks(frame)):
        frame = frame.copy()  # as in plain Python, the frame may be written to
    if tree.get("freq"):
        frame.index.freq = tree["freq"]
    if kind == "series":
        series = frame.iloc[:, 0]
        series.name = tree["name"]
        return series
    return frame


def _blocks(frame: Any) -> list[Any]:
    """The numpy arrays inside a frame, also those under pandas' own types."""
    numpy = need("numpy")
    values = [block.values for block in frame._mgr.blocks]
    arrays = [getattr(item, "_codes", getattr(item, "_ndarray", item)) for item in values]
    return [array for array in arrays if isinstance(array, numpy.ndarray)]
