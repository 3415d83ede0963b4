"""What the plugin loads before it does anything: it is typed all day."""

from __future__ import annotations

import subprocess
import sys

NOT_NEEDED = ("aiohttp", "asyncio", "yaml", "subprocess", "tempfile", "cryptography", "rich")


def test_the_plugin_starts_without_what_few_commands_need() -> None:
    script = (
        "import sys, kruise_rollouts.cli.kubectl_kruise\n"
        f"print(*(m for m in {NOT_NEEDED!r} if m in sys.modules))\n"
        "print(*(m for m in sys.modules if m.startswith(('kruise_rollouts.core', 'kruise_rollouts.operator'))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
