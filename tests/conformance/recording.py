"""The file of recorded stories: what was asked, and the steady part of what a real API server answered."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from .asking import Story

FILE = Path(__file__).with_name("answers.json.gz")


class Recorded(Struct, frozen=True):
    story: Story
    answers: tuple[dict[str, Any], ...]  # one for each ask


class Recording(Struct, frozen=True):
    kubernetes: str  # version of the server that answered
    stories: tuple[Recorded, ...]


def load() -> Recording:
    return msgspec.json.decode(gzip.decompress(FILE.read_bytes()), type=Recording)


def save(recording: Recording) -> None:
    """Writes the same bytes for the same recording."""
    FILE.write_bytes(gzip.compress(msgspec.json.encode(recording, order="sorted"), 9, mtime=0))
