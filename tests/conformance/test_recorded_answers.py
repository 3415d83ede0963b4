"""The sandbox answers as a real API server has answered, except where differences.py says why not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from .comparing import Found, compare, differences_between
from .differences import DIFFERENCES
from .recording import load
from .stories import STORIES

RECORDING = load()
PAGE = Path(__file__).resolve().parents[2] / "docs" / "sandbox.md"
NAMES = [r.story.name for r in RECORDING.stories]


@cache
def found(name: str) -> tuple[Found, ...]:
    return tuple(compare(next(r for r in RECORDING.stories if r.story.name == name)))


@pytest.mark.parametrize("name", NAMES)
def test_the_sandbox_answers_as_a_real_api_server(name: str) -> None:
    surprises = [f for f in found(name) if not any(d.covers(f) for d in DIFFERENCES)]
    assert not surprises, f"{len(surprises)} differences:\n" + "\n".join(map(str, surprises))


def test_every_difference_that_is_listed_is_there() -> None:
    everything = [f for name in NAMES for f in found(name)]
    stale = [d for d in DIFFERENCES if not any(d.covers(f) for f in everything)]
    assert not stale


def test_the_recording_is_of_the_stories_as_they_are() -> None:
    assert [r.story for r in RECORDING.stories] == list(STORIES), "run scripts/record_answers.py"


def test_at_least_a_thousand_answers_are_compared() -> None:
    assert sum(len(r.answers) for r in RECORDING.stories) >= 1000


def test_the_page_about_the_sandbox_shows_every_difference() -> None:
    text = PAGE.read_text()
    assert not [d.reason for d in DIFFERENCES if d.reason not in text]


def test_a_difference_is_seen_wherever_it_is() -> None:
    real = {"code": 200, "body": {"items": [{"a": 1}, {"a": True}], "x": None}}
    assert differences_between(real, real) == []
    ours = {"code": 201, "body": {"items": [{"a": 2}, {"a": 1}], "y": "z"}}
    places = [place for place, _, _ in differences_between(real, ours)]
    assert places == [".body.items.0.a", ".body.items.1.a", ".body.x", ".body.y", ".code"]
