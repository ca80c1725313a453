"""Hides the values of secrets in whatever is said: `***` in their place. Python 3.8, standard library only.

A value is also known as it looks inside JSON, a repr, a URL, base64 (both alphabets, at any offset in what was encoded)
and hexadecimal digits. What overlaps is hidden as a whole. Values of fewer than SHORTEST characters are not hidden:
they would be found everywhere.
"""

from __future__ import annotations

from json import encoder as _json
from typing import Dict, Iterable, Iterator, List, Tuple

HIDDEN = "***"
SHORTEST = 4
# A line of a value of several lines, and a line of wrapped base64, are known alone from this length on.
_LINE = 8
# Shorter ones are found by chance in data that is no text.
_BINARY = 8
_WRAPPED_AT = 76
_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"

Spans = List[Tuple[int, int]]


class Matcher:
    """Finds any of some patterns in a text."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = sorted(set(patterns), key=lambda pattern: (len(pattern), pattern))
        self._needles = _shortest_of(self.patterns)
        self._longest = max(map(len, self.patterns), default=0)
        self._by_letter: Dict[str, List[str]] = {}  # noqa: UP006
        for pattern in self.patterns:
            self._by_letter.setdefault(pattern[0], []).append(pattern)

    def found(self, text: str) -> bool:
        for needle in self._needles:  # noqa: SIM110 - each step is one search in C; a generator would cost more
            if needle in text:
                return True
        return False

    def spans(self, text: str, covered: int = 0) -> Spans:
        """Where patterns stand, in order, what overlaps as one; so much at the start as `covered` is hidden already."""
        found = [(0, covered)] if covered else []
        for pattern in self.patterns:
            size, start, end = len(pattern), -1, -1
            at = text.find(pattern)
            while at >= 0:
                if at >= end:
                    if start >= 0:
                        found.append((start, end))
                    start = at
                end = at + size
                at = text.find(pattern, at + 1)
            if start >= 0:
                found.append((start, end))
        return _joined(found)

    def hide(self, text: str) -> str:
        if not self.found(text):
            return text
        parts, position = [], 0
        for start, end in self.spans(text):
            parts += [text[position:start], HIDDEN]
            position = end
        parts.append(text[position:])
        return "".join(parts)

    def open_from(self, text: str) -> int:
        """From where on the end of the text may be the beginning of a pattern."""
        size = len(text)
        for at in range(max(0, size - self._longest + 1), size):
            for pattern in self._by_letter.get(text[at], ()):
                if len(pattern) > size - at and pattern.startswith(text[at:]):
                    return at
        return size


class Mask:
    """All that is known of some values."""

    def __init__(self, values: Iterable[str]) -> None:
        self.values = frozenset(value for value in values if len(value) >= SHORTEST)
        forms = {form for value in self.values for form in forms_of(value)}
        forms |= {_quoted(form) for form in forms}
        self.text = Matcher(forms)
        self.json = Matcher(forms | {_quoted(form) for form in forms})  # for texts of values, which quote once more
        raw = {form.encode("utf-8", "surrogatepass").decode("latin-1") for form in self.json.patterns}
        self.raw = Matcher(raw)  # the same for bytes that were read as Latin-1
        self.binary = Matcher(form for form in raw if len(form) >= _BINARY)

    def __call__(self, text: str) -> str:
        return self.text.hide(text)

    def hide_bytes(self, data: bytes) -> bytes:
        """Bytes that may be text. In others only what cannot stand there by chance is hidden."""
        try:
            data.decode("utf-8")
            matcher = self.raw
        except UnicodeDecodeError:
            matcher = self.binary
        return matcher.hide(data.decode("latin-1")).encode("latin-1")


class Flow:
    """A text that comes in pieces of any size. What could be the beginning of a value is held until more is known."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._held = ""
        self._covered = 0  # so much of what is held is part of what was hidden already

    def feed(self, text: str) -> str:
        """What can be said by now."""
        whole = self._held + text
        return self._say(whole, self._matcher.open_from(whole))

    def finish(self) -> str:
        """Nothing more comes."""
        return self._say(self._held, len(self._held)) if self._held else ""

    def cut(self) -> None:
        """Something is left out here: what is held may be half a value, and is not said."""
        self._held, self._covered = "", 0

    def _say(self, whole: str, end: int) -> str:
        if not end:
            self._held = whole
            return ""
        covered, parts, position = self._covered, [], 0
        if covered or self._matcher.found(whole):
            for start, stop in self._matcher.spans(whole, covered):
                if start >= end:
                    break
                parts.append(whole[position:start])
                if start or not covered:
                    parts.append(HIDDEN)
                position = stop
        if position < end:
            parts.append(whole[position:end])
        self._held, self._covered = whole[end:], max(0, position - end)
        return "".join(parts)


def _joined(found: Spans) -> Spans:
    joined: Spans = []
    for start, end in sorted(found):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _shortest_of(patterns: Iterable[str]) -> List[str]:  # noqa: UP006
    """Enough to tell whether any is there: what begins with another one needs no search of its own."""
    needles: List[str] = []  # noqa: UP006
    for pattern in sorted(patterns):
        if not needles or not pattern.startswith(needles[-1]):
            needles.append(pattern)
    return needles


def _quoted(text: str) -> str:
    return _json.encode_basestring(text)[1:-1]


# -- what a value looks like -------------------------------------------------------------------


def forms_of(value: str) -> Iterator[str]:
    for whole in {value, value.strip()}:
        for form in _forms(whole):
            if len(form) >= SHORTEST:
                yield form
    for line in value.split("\n"):
        if len(line.strip()) >= _LINE:
            yield line.strip()


def _forms(value: str) -> Iterator[str]:
    from binascii import hexlify

    raw = value.encode("utf-8", "surrogatepass")
    yield value
    yield _quoted(value)
    yield _json.encode_basestring_ascii(value)[1:-1]
    yield repr(value)[1:-1]
    yield repr(raw)[2:-1]
    for text in (_in_url(raw), _in_url(raw, b"/"), _in_url(raw, b"!'()*~"), _in_url(raw, b" ").replace(" ", "+")):
        yield text
        yield _lower_escapes(text)
    digits = hexlify(raw).decode("ascii")
    yield digits
    yield digits.upper()
    yield from _base64_forms(raw)


def _in_url(raw: bytes, safe: bytes = b"") -> str:
    return "".join(chr(byte) if byte in _SAFE or byte in safe else f"%{byte:02X}" for byte in raw)


def _lower_escapes(text: str) -> str:
    first, *rest = text.split("%")
    return "%".join([first] + [part[:2].lower() + part[2:] for part in rest])


def _base64_forms(raw: bytes) -> Iterator[str]:
    """What stands in the base64 of anything that holds the bytes, for each of the three ways they can lie in it."""
    from binascii import b2a_base64

    for shift, begin in ((0, 0), (1, 2), (2, 3)):
        padded = b"\0" * shift + raw
        text = b2a_base64(padded, newline=False).decode("ascii")
        own = text[begin : len(padded) * 8 // 6]  # of these characters every bit comes from the value
        lines = [text[at : at + _WRAPPED_AT] for at in range(0, len(text), _WRAPPED_AT)] if not shift else []
        lines = [line for line in lines if len(line) >= _LINE] if len(lines) > 1 else []
        for form in (own, text[begin:].rstrip("="), text[begin:], *lines):
            yield form
            yield form.replace("+", "-").replace("/", "_")
