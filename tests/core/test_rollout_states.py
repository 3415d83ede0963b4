"""The drawings in docs/states show what the tables say."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_drawings_are_those_of_the_tables() -> None:
    drawings = runpy.run_path(str(ROOT / "scripts" / "draw_states.py"))["drawings"]()
    drawn = {p.name: p.read_text() for p in (ROOT / "docs" / "states").glob("*.md")}
    assert drawn == drawings, "run scripts/draw_states.py"
