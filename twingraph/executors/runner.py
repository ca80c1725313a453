"""The one implementation of 'run one node'. Every platform runs this file: Python 3.8, standard library only.

The codec is handed in, so that the file stands alone: `decode(text)` gives a value, `encode(value, path)` gives
(text, hash, size) and raises for a value that cannot be stored. `mask(text)` hides secrets that the run was given; what
`encode` gives is hidden already. `items`, where what a generator yields is to be handed
over as it comes, takes each with `give(item)`, which raises likewise, and gives the list of all as `whole()`. `after()`
is called when user code has ended, before anything is made of what it gave.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from twingraph.core.codec_base import is_whole

MAX_OUTPUTS = 10_000  # a dict with more names is one value
MAX_PARTS = 16_384  # characters of an exception's arguments and attributes that travel with it
_OWN_FILES = ("/twingraph/executors/", "/twingraph/core/codec", "<frozen importlib", "<frozen runpy")
# What Python's own exceptions keep neither in their arguments nor in their dict.
_SLOTS = ((OSError, ("filename", "filename2")), (ImportError, ("name", "path")))
_LOOP_FILES = ("/asyncio/runners.py", "/asyncio/base_events.py")
_PLAIN = frozenset((str, int, float, bool, type(None), list, bytes))


class Answer(NamedTuple):
    """How a run ended: outputs and their texts, or an error as a dict of ErrorRecord's fields."""

    status: str
    shape: Optional[str] = None  # noqa: UP045 - evaluated by Python 3.8
    outputs: Sequence[Tuple[str, str, int]] = ()  # noqa: UP006
    texts: Sequence[str] = ()
    error: Optional[dict] = None  # type: ignore[type-arg]  # noqa: UP045


class CodeUnavailableError(Exception):
    """The recorded code is not there, or is not what was recorded."""


class _UnfitError(Exception):
    """An item cannot be stored; the mistake is the item's and not that of the code that runs."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class Work(NamedTuple):
    """What is to be run, and with what: see the top of this file."""

    find: Callable[[], Any]
    arguments: Iterable[Tuple[str, str]]  # noqa: UP006
    decode: Callable[[str], Any]
    encode: Callable[[Any, str], Tuple[str, str, int]]  # noqa: UP006
    config: Any = None
    items: Any = None
    mask: Optional[Callable[[str], str]] = None  # noqa: UP045
    after: Optional[Callable[[], None]] = None  # noqa: UP045


def run_node(work: Work) -> Answer:
    """Never raises: whatever happens in user code, its module or its values becomes an Answer."""
    target, values, refused = _made_ready(work)
    if refused is not None:
        return refused
    try:
        try:
            result = call(target, values, work.config, work.items)
        finally:
            if work.after is not None:
                work.after()
    except BaseException as error:
        return _failure(error, work)
    return _taken(result, work)


async def run_node_on_loop(work: Work) -> Answer:
    """The same where a loop runs that others wait on too."""
    target, values, refused = _made_ready(work)
    if refused is not None:
        return refused
    items = work.items
    try:
        result = _called(target, values, work.config)
        if hasattr(result, "__await__"):
            result = await result
        if hasattr(result, "__aiter__") and hasattr(result, "asend"):
            result = await (_gathered(result) if items is None else _give_each(result, items))
        elif type(result) not in _PLAIN:
            result = _settled(result, items)
    except BaseException as error:
        return _failure(error, work)
    return _taken(result, work)


def _made_ready(work: Work) -> Tuple[Any, Any, Optional[Answer]]:  # noqa: UP006, UP045
    """What is to be called, with what; or how it ended before that."""
    try:
        target = work.find()
    except BaseException as error:
        gone = isinstance(error, CodeUnavailableError) or (isinstance(error, KeyError) and not _frames(error))
        code = "code_unavailable" if gone else "user_error"
        return None, None, Answer("failed", error=describe(error, code, mask=work.mask))
    decode = work.decode
    try:
        return target, {name: decode(text) for name, text in work.arguments}, None
    except BaseException as error:
        return None, None, Answer("failed", error=describe(error, "invalid_input", True, work.mask))


def _failure(error: BaseException, work: Work) -> Answer:
    if isinstance(error, _UnfitError):
        return Answer("failed", error=describe(error.error, "invalid_output", True, work.mask))
    described = describe(error, "user_error", mask=work.mask)
    described["exception"] = _parts(error, work.encode)
    return Answer("failed", error=described)


def _taken(result: Any, work: Work) -> Answer:
    items, mask = work.items, work.mask
    try:
        answer = _encoded(result, work.encode) if items is None or result is not items else _whole(items)
    except BaseException as error:
        return Answer("failed", error=describe(error, "invalid_output", True, mask))
    if mask is None or not answer.outputs:
        return answer
    return answer._replace(outputs=_hidden_names(answer.outputs, mask))


def _parts(error: BaseException, encode: Callable[[Any, str], Tuple[str, str, int]]) -> Optional[str]:  # noqa: UP006, UP045
    """What the exception was raised with, the attributes and notes it was given: a caller can build it again."""
    state = {name: value for name, value in error.__dict__.items() if name[:2] != "__"}
    for kind, names in _SLOTS:
        if isinstance(error, kind):
            state.update((name, getattr(error, name)) for name in names if getattr(error, name) is not None)
    more = {"state": state, "notes": getattr(error, "__notes__", None)}
    bare = {"args": list(error.args)}
    full = dict(bare, **{name: part for name, part in more.items() if part})
    for parts in (full, bare) if len(full) > 1 else (bare,):
        try:
            text = encode(parts, "exception")[0]
        except BaseException:  # they may be anything
            continue
        if len(text) <= MAX_PARTS:
            return text
    return None


def call(target: Any, values: dict[str, Any], config: Any = None, items: Any = None) -> Any:
    """Call a function, an async function, a generator function or the class of a component.

    With `items` these take what a generator yields, and are the result.
    """
    result = _called(target, values, config)
    if type(result) in _PLAIN:
        return result
    return _settled(result, items)


def _called(target: Any, values: dict[str, Any], config: Any) -> Any:
    if not isinstance(target, type) or not hasattr(target, "execute"):
        return target(**values)
    component = target(dict(config or {}))
    validate = getattr(component, "validate_inputs", None)
    if validate is not None and validate(**values) is False:
        raise ValueError(f"validate_inputs refused the inputs of {target.__name__}")
    return component.execute(**values)


def _settled(result: Any, items: Any) -> Any:
    """What a coroutine or a generator finally gives."""
    if hasattr(result, "__await__") and hasattr(result, "send"):
        import asyncio

        return _settled(asyncio.run(result), items)
    if hasattr(result, "__aiter__") and hasattr(result, "asend"):
        import asyncio

        return asyncio.run(_gathered(result) if items is None else _give_each(result, items))
    if hasattr(result, "__next__") and hasattr(result, "throw"):
        return list(result) if items is None else _give_all(result, items)
    return result


async def _gathered(items: Any) -> List[Any]:  # noqa: UP006
    return [item async for item in items]


def _give_all(generator: Any, items: Any) -> Any:
    for item in generator:
        try:
            items.give(item)
        except BaseException as error:  # noqa: PERF203 - only an item's own failure is the item's
            generator.close()
            raise _UnfitError(error) from error
    return items


async def _give_each(generator: Any, items: Any) -> Any:
    async for item in generator:
        try:
            items.give(item)
        except BaseException as error:
            raise _UnfitError(error) from error
    return items


def _whole(items: Any) -> Answer:
    text, digest, size = items.whole()
    return Answer("completed", "plain", [("output", digest, size)], [text])


def _hidden_names(outputs: Any, mask: Callable[[str], str]) -> List[Tuple[str, str, int]]:  # noqa: UP006
    """Names of outputs may be data as well; each stays different from the others."""
    found: dict[str, Any] = {}
    for name, *about in outputs:
        hidden, count = mask(name), 1
        while hidden in found:
            count += 1
            hidden = f"{mask(name)}-{count}"
        found[hidden] = about
    return [(name, about[0], about[1]) for name, about in found.items()]


def take_apart(result: Any) -> Tuple[str, List[Tuple[str, Any]]]:  # noqa: UP006
    """The shape of a result, and its outputs by name."""
    kind = type(result)
    if kind in _PLAIN:
        return "plain", [("output", result)]
    if kind is dict:
        if 0 < len(result) <= MAX_OUTPUTS and all(type(name) is str for name in result) and is_whole("".join(result)):
            return "dict", list(result.items())
    elif isinstance(result, tuple) and isinstance(getattr(kind, "_fields", None), tuple) and kind._fields:
        return "namedtuple:" + _name(kind), list(zip(kind._fields, result))
    elif "__dataclass_fields__" in kind.__dict__:
        fields = [name for name, field in kind.__dataclass_fields__.items() if _is_field(field)]
        if fields:
            return "dataclass:" + _name(kind), [(name, getattr(result, name)) for name in fields]
    elif isinstance(getattr(kind, "__pydantic_fields__", None), dict) and kind.__pydantic_fields__:
        return "model:" + _name(kind), [(name, getattr(result, name)) for name in kind.__pydantic_fields__]
    return "plain", [("output", result)]


def _is_field(field: Any) -> bool:
    return getattr(getattr(field, "_field_type", None), "name", "") == "_FIELD"


def _name(kind: type) -> str:
    return kind.__module__ + ":" + kind.__qualname__


def _encoded(result: Any, encode: Callable[[Any, str], Tuple[str, str, int]]) -> Answer:  # noqa: UP006
    shape, parts = take_apart(result)
    outputs, texts = [], []
    for name, value in parts:
        text, digest, size = encode(value, name)
        outputs.append((name, digest, size))
        texts.append(text)
    return Answer("completed", shape, outputs, texts)


# -- errors ------------------------------------------------------------------------------------


def describe(
    error: BaseException,
    code: str,
    permanent: bool = False,
    mask: Optional[Callable[[str], str]] = None,  # noqa: UP045
) -> dict[str, Any]:
    """An exception as the fields of an error record. Copes with exceptions that fail to describe themselves."""
    hide = mask or str
    kinds = [kind for kind in type(error).__mro__ if kind is not object]
    names = [k.__qualname__ if k.__module__ == "builtins" else k.__module__ + "." + k.__qualname__ for k in kinds]
    ours = {kind.__name__ for kind in kinds if kind.__module__.partition(".")[0] == "twingraph"}
    return {
        "code": code,
        "error_type": hide(type(error).__name__),
        "message": _message(error, hide),
        "traceback": _traceback(error, hide),
        "types": names if mask is None else [mask(name) for name in names],
        # a value that could not be stored or fetched this time may be the next
        "permanent": "PermanentError" in ours or (permanent and "BlobsUnavailable" not in ours),
    }


def _message(error: BaseException, hide: Callable[[str], str]) -> str:
    try:
        if isinstance(error, SystemExit):
            return hide(f"the component called sys.exit({error.code!r}); return a value or raise an exception instead")
        return hide(str(error))[:20000].encode("utf-8", "replace").decode("utf-8")
    except BaseException as second:
        return f"<the message of this {type(error).__name__} could not be made: {type(second).__name__}>"


def _frames(error: BaseException) -> bool:
    """Whether any user code is on the way to the error."""
    step = error.__traceback__
    while step is not None:
        if not is_own(step.tb_frame.f_code.co_filename):
            return True
        step = step.tb_next
    return False


def is_own(filename: str) -> bool:
    name = filename.replace("\\", "/")
    return name == __file__ or any(part in name for part in _OWN_FILES)


def _traceback(error: BaseException, hide: Callable[[str], str]) -> str | None:
    """The user's frames only. None when it cannot be made."""
    try:
        import traceback

        whole = traceback.TracebackException(type(error), error, error.__traceback__, limit=None)
        _cut(whole, set())
        return hide("".join(whole.format()))[-100000:].encode("utf-8", "replace").decode("utf-8")
    except BaseException:  # no memory, no stack, or an exception that cannot be shown
        return None


def _of_the_user(frames: Sequence[Any]) -> Sequence[Any]:
    """Without what asyncio adds before the author's own lines of an async component."""
    names = [frame.filename.replace("\\", "/") for frame in frames]
    first = next((at for at, name in enumerate(names) if not name.endswith(_LOOP_FILES)), 0)
    return frames[first:]


def _cut(part: Any, seen: set[int]) -> None:
    if part is None or id(part) in seen:
        return
    seen.add(id(part))
    part.stack[:] = _of_the_user([frame for frame in part.stack if not is_own(frame.filename)])
    _cut(part.__cause__, seen)
    _cut(part.__context__, seen)
    for inner in getattr(part, "exceptions", None) or ():
        _cut(inner, seen)


def refuse_breakpoint(*_args: Any, **_keywords: Any) -> None:
    """`breakpoint()` in a process that nobody can talk to."""
    raise RuntimeError(
        "breakpoint(): this node runs in a worker process without a terminal; "
        "set TWINGRAPH_INLINE=1 to run everything in one process, where a debugger works"
    )


def disarm() -> None:
    sys.breakpointhook = refuse_breakpoint
