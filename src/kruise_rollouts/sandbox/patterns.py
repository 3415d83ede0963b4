"""Regular expressions as Kubernetes has them: RE2, and Go's words for what is wrong with one."""

from __future__ import annotations

from functools import lru_cache

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
# Begin of RE2's message: Go's. What follows is the offending part.
_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "unexpected )": "unexpected )",
}


class PatternError(ValueError):
    """The text is no regular expression; the message is Go's."""


@lru_cache(maxsize=1024)
def pattern_of(text: str) -> re2._Regexp[str]:
    """The compiled pattern. Raises PatternError."""
    try:
        return re2.compile(text, _OPTIONS)
    except re2.error as error:
        raise PatternError(_in_go(error.args[0] if error.args else "")) from None


def _in_go(message: str | bytes) -> str:
    said = message.decode() if isinstance(message, bytes) else str(message)
    what, _, where = said.partition(": ")
    what = _WORDS.get(what, what)
    return f"error parsing regexp: {what}: `{where}`" if where else f"error parsing regexp: {what}"


def matches(pattern: str, text: str) -> bool:
    """Whether `text` contains a match. Raises PatternError."""
    return pattern_of(pattern).search(text) is not None
