"""Runs specs of Kubernetes' own conformance suite against the sandbox, as a process of its own.

    python scripts/conformance.py RUN_PROGRAM SPECS_FILE [--match TEXT] [--jobs N]

RUN_PROGRAM is started as `RUN_PROGRAM SPECS_FILE --jobs N ...` with KUBECONFIG of a fresh sandbox and prints a line
per spec, then `N passed, N failed`. Logs are kept in .conformance/. Exit status 1 if a spec failed, or none ran.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".conformance"
PROGRAM = Path(sys.executable).parent / "kruise-rollout"
STOP_SECONDS = 10.0


@contextmanager
def sandbox() -> Iterator[str]:
    """The kubeconfig of a sandbox that lives as long as the block."""
    with (LOGS / "sandbox.log").open("w") as log:
        process = subprocess.Popen(
            [str(PROGRAM), "sandbox", "--no-controller"], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            yield _kubeconfig(process)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _kubeconfig(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"KUBECONFIG=(\S+)", line)
        if found:
            return found[1]
    raise SystemExit(f"the sandbox did not start: see {LOGS / 'sandbox.log'}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the program that runs specs")
    parser.add_argument("specs", type=Path, help="a file with one spec name a line")
    parser.add_argument("--match", default="", help="only specs whose names contain it")
    parser.add_argument("--jobs", type=int, default=3, help="how many run at a time")
    args = parser.parse_args()
    LOGS.mkdir(exist_ok=True)
    command = [str(args.run.resolve()), str(args.specs.resolve()), "--jobs", str(args.jobs)]
    command += ["--match", args.match, "--logs", str(LOGS), "--out", str(LOGS / "results.json")]
    with sandbox() as kubeconfig:
        lines = _played(command, kubeconfig)
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1] if lines else "")
    if counts is None or not int(counts[1]) + int(counts[2]):
        print("no spec ran", flush=True)
        return 1
    return int(counts[2]) > 0


def _played(command: list[str], kubeconfig: str) -> list[str]:
    """Its lines, printed as they come."""
    lines = []
    env = {**os.environ, "KUBECONFIG": kubeconfig}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.strip())
        process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # specs that still run when we are told to stop
    return lines


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
