"""Draws docs/states from the tables that the controllers run by: `python scripts/draw_states.py`.

A test fails when a drawing differs from its table; run this again then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kruise_rollouts.core import batch, rolling, rollout, steps

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "states"
Arrow = tuple[str, str, str]  # from, to, when


def drawings() -> dict[str, str]:
    """Text by file name."""
    phases = [
        *_arrows(rollout.PHASES),
        *((was, str(to), when) for when, was, to in rollout.ARROWS),
    ]
    return {
        "rollout.md": _page(
            "Phases of a Rollout",
            "`status.phase`; decided in `core/rollout.py`. An arrow from `any` leads from every phase.",
            phases,
        ),
        "progressing.md": _page(
            "Reasons of the condition Progressing",
            "What a release is doing while the phase is Progressing; decided in `core/rolling.py`.",
            _arrows(rolling.REASONS),
        ),
        "step.md": _page(
            "States of a step",
            "`currentStepState`; decided in `core/steps.py`. A person may write StepReady in any state (approve), and "
            "nextStepIndex (jump): both lead to BeforeStepUpgrade of another step, or to Completed.",
            _arrows(steps.STEPS),
        ),
        "batch-release.md": _page(
            "Phases of a BatchRelease",
            "`status.phase`; decided in `core/batch.py`. Completed is final.",
            [*_arrows(batch.PHASES), ("Finalizing", "Completed", "let go of")],
        ),
        "batch.md": _page(
            "States of a batch",
            "`canaryStatus.batchState`; decided in `core/batch.py`. A changed plan or a scaled workload leads back to "
            "Upgrading from any of them.",
            _arrows(batch.BATCH_STATES),
        ),
    }


def _arrows(rows: Mapping[str, Any]) -> list[Arrow]:
    return [(was, str(to), "") for was, row in rows.items() for to in row.to if was]


def _page(title: str, about: str, arrows: Iterable[Arrow]) -> str:
    lines = [f"# {title}", "", about, "", "```mermaid", "stateDiagram-v2"]
    for was, to, when in arrows:
        lines.append(f"  {was or 'any'} --> {to}" + (f" : {when}" if when else ""))
    return "\n".join(
        [*lines, "```", "", "Drawn by `scripts/draw_states.py` from the tables in the code.", ""]
    )


if __name__ == "__main__":
    for name, text in drawings().items():
        (FOLDER / name).write_text(text)
        print(FOLDER / name)
