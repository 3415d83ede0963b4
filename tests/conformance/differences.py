"""Where the sandbox answers otherwise than a real API server, and why. docs/sandbox.md shows this table."""

from __future__ import annotations

from .comparing import Difference

DIFFERENCES: tuple[Difference, ...] = ()
