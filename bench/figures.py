"""How figures are shown: ours beside the goal and what others were measured at, and under which load."""

from __future__ import annotations

import os
import platform


def about() -> str:
    """The machine and how busy it is."""
    one, five, _ = os.getloadavg()
    python = platform.python_version()
    return f"# {os.cpu_count()} CPUs, Python {python}, load {one:.1f} (1 min) {five:.1f} (5 min)"


def row(what: str, ours: str, goal: str, openkruise: str = "", argo: str = "") -> str:
    """One figure."""
    others = ", ".join(
        f"{name} {value}" for name, value in (("OpenKruise", openkruise), ("Argo", argo)) if value
    )
    return f"{what:52} {ours:32} goal {goal}" + (f"   ({others})" if others else "")


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(values: list[float]) -> str:
    """Median, 99th percentile and most of some seconds."""
    middle, high, most = (percentile(values, share) * 1000 for share in (0.5, 0.99, 1.0))
    return f"{middle:.0f} ms, p99 {high:.0f}, most {most:.0f}"
