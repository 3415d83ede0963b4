"""The demo on the screen: a panel that follows the release in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kruise_rollouts.views.rollout import RolloutView

from .person import Picture
from .story import Act

COLOURS = ("blue", "green", "magenta", "yellow", "cyan")
PHASES = {"Healthy": "green", "Progressing": "yellow"}
WIDTH = 100  # columns; a narrower terminal gets what fits


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
        self._message = ""

    def act(self, number: int, total: int, act: Act) -> None:
        print(f"\n[{number}/{total}] {act.title}", flush=True)
        if act.command:
            print(f"  $ {act.command}", flush=True)

    def warn(self, text: str) -> None:
        print(_indented(f"Warning: {text}", "  "), flush=True)

    def show(self, seen: Picture) -> None:
        line, message = summary(seen), seen.rollout.message if seen.rollout is not None else ""
        if line != self._last:
            print(f"  {line}", flush=True)
        if message and message != self._message:
            print(_indented(message, "    "), flush=True)
        self._last, self._message = line, message

    def end(self, act: Act, seen: Picture, ok: bool) -> None:
        print(f"  {'ok' if ok else 'NOT AS IT SHOULD BE'}: {act.seen}", flush=True)

    def close(self) -> None:
        return


def _indented(text: str, margin: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=margin, subsequent_indent=margin + "  ")


def summary(seen: Picture) -> str:
    """Pods, and where the release is, in one line."""
    pods = "  ".join(f"{v or '?'}: {n}" for v, n in sorted(seen.pods.items())) or "no pods"
    r = seen.rollout
    if r is None or not r.phase:
        return f"{pods} | {seen.ready} ready"
    return f"{pods} | {seen.ready} ready | {r.phase}, step {r.step}/{r.steps_total} {r.state}"


class LiveView:
    """A panel that is drawn again as things change; what was typed stays above it."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._colours: dict[str, str] = {}  # of each version, from the first time it is seen
        self._live = Live(console=self._console, refresh_per_second=12, transient=True)
        self._live.start()

    def act(self, number: int, total: int, act: Act) -> None:
        self._console.print()
        self._console.print(Text(f"{number}/{total}  {act.title}", style="bold"))
        if act.command:
            self._console.print(Text(f"     $ {act.command}", style="cyan"))

    def warn(self, text: str) -> None:
        self._console.print(Padding(Text(text, style="yellow"), (0, 0, 0, 5)), width=WIDTH)

    def show(self, seen: Picture) -> None:
        for version in seen.pods:
            self._colours.setdefault(version, COLOURS[len(self._colours) % len(COLOURS)])
        self._live.update(_panel(seen, self._colours))

    def end(self, act: Act, seen: Picture, ok: bool) -> None:
        mark = Text("  ✔  ", style="green") if ok else Text("  ✘  not as it should be: ", style="red")
        self._console.print(mark + Text(act.seen, style="dim" if ok else "red"))
        if not ok:
            self._console.print(summary(seen))

    def close(self) -> None:
        self._live.stop()


def _panel(seen: Picture, colours: Mapping[str, str]) -> Panel:
    """Pods by version as bars, the plan with the present step marked, and what is waited for."""
    bars = Table.grid(padding=(0, 2))
    for version, count in sorted(seen.pods.items()):
        pods = "1 pod" if count == 1 else f"{count} pods"
        bars.add_row(version, Text("██ " * count, style=colours[version]), Text(pods, style="dim"))
    rows: list[Table | Text] = [bars]
    r = seen.rollout
    if r is not None:
        rows += [Text(), _plan(r), Text(r.message, style="dim")]
    state = Text(r.phase if r is not None else "", style=PHASES.get(r.phase if r is not None else "", ""))
    title = Text.assemble(("busybox", "bold"), "  ", state, f"  {seen.ready} ready")
    return Panel(Group(*rows), title=title, title_align="left", width=WIDTH, padding=(1, 2))


def _plan(r: RolloutView) -> Text:
    line = Text("plan  ")
    for number, step in enumerate(r.steps, start=1):
        amount = (
            step.replicas
            if step.replicas.endswith("%")
            else ("1 pod" if step.replicas == "1" else f"{step.replicas} pods")
        )
        if number < r.step or r.phase == "Healthy":
            line.append(f"✔ {amount}", style="green")
        elif number == r.step:
            line.append(f"▶ {amount}  {r.state}", style="bold yellow")
        else:
            line.append(f"○ {amount}", style="dim")
        line.append("   ")
    return line


def view_for_here() -> View:
    """The panel in a terminal, lines elsewhere."""
    return LiveView() if sys.stdout.isatty() else PlainView()
