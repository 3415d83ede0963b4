"""Where two answers differ: `differences_between` names each place by its path."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from .on_sandbox import on_sandbox
from .recording import Recorded


class Found(Struct, frozen=True):
    """One place of one answer where the sandbox says something else."""

    story: str
    ask: str
    place: str  # "code", "body.metadata.labels.a", ...
    real: Any  # ABSENT: not there
    sandbox: Any

    def __str__(self) -> str:
        return f"{self.story} / {self.ask} / {self.place}\n    real    {self.real!r}\n    sandbox {self.sandbox!r}"


class Difference(Struct, frozen=True):
    """A difference that is meant. `story`, `ask` and `place` are shell patterns."""

    story: str
    ask: str
    place: str
    reason: str

    def covers(self, found: Found) -> bool:
        pairs = ((found.story, self.story), (found.ask, self.ask), (found.place, self.place))
        return all(fnmatchcase(value, pattern) for value, pattern in pairs)


ABSENT = "<absent>"


def compare(recorded: Recorded) -> list[Found]:
    """Replays a story on the sandbox; every place where its answers are not those recorded."""
    found = []
    answers = on_sandbox(recorded.story)
    for ask, real, ours in zip(recorded.story.asks, recorded.answers, answers, strict=True):
        if real["code"] != ours["code"]:  # then the rest is another answer altogether
            found.append(Found(recorded.story.name, ask.name, "code", _short(real), _short(ours)))
            continue
        places = differences_between(real, ours)
        found += [Found(recorded.story.name, ask.name, place[1:], a, b) for place, a, b in places]
    return found


def _short(answer: dict[str, Any]) -> str:
    body = answer["body"]
    return f"{answer['code']} {body.get('message', '') if isinstance(body, dict) else body}".strip()


def differences_between(real: Any, ours: Any, place: str = "") -> list[tuple[str, Any, Any]]:
    """(path, real value, our value) of each difference; whole lists where their lengths differ."""
    if isinstance(real, dict) and isinstance(ours, dict):
        out = []
        for key in sorted({*real, *ours}):
            inner = f"{place}.{key}"
            out += differences_between(real.get(key, ABSENT), ours.get(key, ABSENT), inner)
        return out
    if isinstance(real, list) and isinstance(ours, list) and len(real) == len(ours):
        return [
            d
            for i, (a, b) in enumerate(zip(real, ours, strict=True))
            for d in differences_between(a, b, f"{place}.{i}")
        ]
    return [] if real == ours and isinstance(real, bool) == isinstance(ours, bool) else [(place, real, ours)]
