"""Every fast check, in the order in which they fail fastest: format, lint, types, layers, tests.

Run it with the interpreter that the project is installed in. Exit status 1 if a check failed; all of them are run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
WORKERS = str(min(os.cpu_count() or 1, 4))

CHECKS = (
    ("format", (BIN / "ruff", "format", "--check", "src", "tests", "scripts", "bench")),
    ("lint", (BIN / "ruff", "check", "src", "tests", "scripts", "bench")),
    ("layers", (BIN / "lint-imports", "--no-logo")),
    ("types", (BIN / "mypy",)),
    ("tests", (sys.executable, "-m", "pytest", "-n", WORKERS, "-m", "not slow and not cluster and not kubectl", *sys.argv[1:])),
)  # fmt: skip


def main() -> int:
    failed = []
    for name, command in CHECKS:
        began = time.monotonic()
        code = subprocess.run([str(part) for part in command], check=False, cwd=ROOT).returncode
        print(f"{name}: {'ok' if code == 0 else 'FAILED'} in {time.monotonic() - began:.1f} s", flush=True)
        if code != 0:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
