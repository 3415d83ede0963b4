"""Requests in order, as data: `Story` and `Ask`, and playing them against any server that can answer one.

Stories are recorded on a real API server by scripts/record_answers.py and replayed on the sandbox. Which requests there
are is in the stories_*.py files; what of an answer is compared is in steady.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

from .steady import Steady

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
META = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
META_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
ATTEMPTS = 100

_VARIABLE = re.compile(r"\$([a-z][a-z_]*)\b")


class Ask(Struct, frozen=True, omit_defaults=True):
    """One request. `$name` in path, body and token stands for what an earlier ask has saved."""

    name: str  # unique in its story
    method: str
    path: str  # encoded, with the query
    body: Any = None  # JSON
    raw: str | None = None  # a body byte by byte (latin-1) in place of `body`
    type: str = "application/json"
    accept: str = "application/json"
    agent: str = "recorder"
    token: str | None = None  # None: the administrator's; "": no Authorization at all
    save: dict[str, str] = {}  # variable -> dotted path in the answer
    # Ask again until the answer has this code or, with a dotted path, this value: for what comes about by itself.
    until: tuple[int | str, Any] | None = None


class Story(Struct, frozen=True):
    """Asks that belong together. They start with a fresh namespace `c-<name>`."""

    name: str
    asks: tuple[Ask, ...]
    cluster_wide: tuple[str, ...] = ()  # paths of cluster-scoped objects it makes, to be deleted around it
    controlled: bool = False  # a controller writes some of its objects: what it writes is not compared

    @property
    def ns(self) -> str:
        return f"c-{self.name}"


class Sent(NamedTuple):
    """A request ready to be sent."""

    method: str
    path: str  # encoded
    body: bytes
    headers: dict[str, str]  # names in lower case

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        return tuple(parse_qsl(self.path.partition("?")[2], keep_blank_values=True))

    @property
    def plain_path(self) -> str:
        return unquote(self.path.partition("?")[0])


class Got(NamedTuple):
    """An answer as it came."""

    code: int
    content_type: str
    warnings: tuple[str, ...]  # the header's values
    body: bytes


Send = Callable[[Sent], Awaitable[Got]]
Wait = Callable[[float], Awaitable[None]]  # seconds


class Played(Struct, frozen=True):
    """What a story came to: the steady part of each answer."""

    answers: tuple[dict[str, Any], ...]


async def play(story: Story, send: Send, wait: Wait, admin: str) -> Played:
    """Sends all asks in order. `admin` is the administrator's token."""
    known: dict[str, str] = {}
    steady = Steady(known, story.controlled)
    answers = []
    for ask in story.asks:
        for _ in range(ATTEMPTS):
            got = await send(_sent(ask, known, admin))
            if ask.until is None or _reached(got, *ask.until):
                break
            await wait(0.2)
        else:
            raise AssertionError(f"{story.name}: {ask.name} never answered {ask.until}: {got}")
        answers.append(steady.answer(got.code, got.content_type, got.warnings, got.body))
        known.update({name: str(at(json.loads(got.body), path)) for name, path in ask.save.items()})
    return Played(tuple(answers))


def _reached(got: Got, where: int | str, value: Any) -> bool:
    if isinstance(where, int):
        return got.code == where
    return got.body.startswith(b"{") and at(json.loads(got.body), where) == value


def at(value: Any, path: str) -> Any:
    """The value at a dotted path; None if there is nothing."""
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(part)
    return value


def _sent(ask: Ask, known: dict[str, str], admin: str) -> Sent:
    def filled(text: str) -> str:
        return _VARIABLE.sub(lambda m: known.get(m[1], m[0]), text)

    raw = ask.raw.encode("latin-1") if ask.raw is not None else b""
    if ask.body is not None:
        raw = filled(json.dumps(ask.body)).encode()
    headers = {"accept": ask.accept, "user-agent": ask.agent}
    if raw:
        headers["content-type"] = ask.type
    token = admin if ask.token is None else filled(ask.token)
    if token:
        headers["authorization"] = f"Bearer {token}"
    return Sent(ask.method, filled(ask.path), raw, headers)
