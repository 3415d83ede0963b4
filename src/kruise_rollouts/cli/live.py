"""The demo on the screen: a panel that follows the release in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .person import Picture
from .story import Act

COLOURS = ("blue", "green", "magenta", "yellow", "cyan")


class View(Protocol):
    """Where the demo is shown."""

    def act(self, number: int, total: int, act: Act) -> None:
        """An act begins."""
        ...

    def warn(self, text: str) -> None:
        """The API server warns the person who typed."""
        ...

    def show(self, seen: Picture) -> None:
        """What there is to see now."""
        ...

    def end(self, act: Act, seen: Picture, ok: bool) -> None:
        """An act ended as it should, or did not."""
        ...

    def close(self) -> None: ...


class PlainView:
    """One line per thing that changed: for logs, pipes and CI."""

    def __init__(self) -> None:
        self._last = ""

    def act(self, number: int, total: int, act: Act) -> None:
        print(f"\n[{number}/{total}] {act.title}", flush=True)
        if act.command:
            print(f"  $ {act.command}", flush=True)

    def warn(self, text: str) -> None:
        print(f"  Warning: {text}", flush=True)

    def show(self, seen: Picture) -> None:
        line = summary(seen)
        if line != self._last:
            print(f"  {line}", flush=True)
            self._last = line

    def end(self, act: Act, seen: Picture, ok: bool) -> None:
        print(f"  {'ok' if ok else 'NOT AS IT SHOULD BE'}: {act.seen}", flush=True)

    def close(self) -> None:
        return


def summary(seen: Picture) -> str:
    """`seen` in one line."""
    pods = "  ".join(f"{v or '?'}: {n}" for v, n in sorted(seen.pods.items())) or "no pods"
    r = seen.rollout
    if r is None:
        return f"pods {pods}"
    return (
        f"pods {pods} | ready {seen.ready} | {r.phase} step {r.step}/{r.steps_total} {r.state} | {r.message}"
    )


class LiveView:
    """A panel that is drawn again as things change; what was typed stays above it."""

    def __init__(self) -> None:
        self._console = Console()
        self._live = Live(console=self._console, refresh_per_second=12, transient=True)
        self._live.start()

    def act(self, number: int, total: int, act: Act) -> None:
        self._console.print(f"\n[bold]{number}/{total}  {act.title}[/bold]")
        if act.command:
            self._console.print(Text(f"$ {act.command}", style="cyan"))

    def warn(self, text: str) -> None:
        self._console.print(Text(f"Warning: {text}", style="yellow"))

    def show(self, seen: Picture) -> None:
        self._live.update(_panel(seen))

    def end(self, act: Act, seen: Picture, ok: bool) -> None:
        mark = "[green]✔[/green]" if ok else "[red]✘ not as it should be:[/red]"
        self._console.print(f"{mark} {act.seen}")
        if not ok:
            self._console.print(summary(seen))

    def close(self) -> None:
        self._live.stop()


def _panel(seen: Picture) -> Panel:
    bars = Table.grid(padding=(0, 1))
    for i, (version, count) in enumerate(sorted(seen.pods.items())):
        bars.add_row(version, Text("█" * count, style=COLOURS[i % len(COLOURS)]), str(count))
    rows: list[Table | Text] = [bars]
    r = seen.rollout
    if r is not None:
        rows.append(Text(f"{r.phase or '-'}  step {r.step}/{r.steps_total}  {r.state}", style="bold"))
        rows.append(Text(r.message or "", style="dim"))
    w = seen.workload
    title = f"busybox  ready {seen.ready}" + (
        f"  up-to-date {w.updated}  available {w.available}" if w else ""
    )
    return Panel(Group(*rows), title=title, width=100)


def view_for_here() -> View:
    """The panel in a terminal, lines elsewhere."""
    return LiveView() if sys.stdout.isatty() else PlainView()
