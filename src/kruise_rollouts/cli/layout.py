"""How help texts of both programs are laid out."""

from __future__ import annotations

import argparse


class HelpLayout(argparse.RawDescriptionHelpFormatter):
    """Flags and what they mean side by side, within 100 columns; examples stay as they were written."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=38, width=100)

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += 2  # commands are indented, which argparse forgets in its sums
