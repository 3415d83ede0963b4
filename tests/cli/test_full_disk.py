"""A disk that is full, or a reader that has seen enough: one line, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .cluster import Cluster, waiting

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def _run_into(place: Path, program: str, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = f"import sys; from kruise_rollouts.main import {program}; sys.exit({program}())"
    with place.open("w") as out:
        return subprocess.run(
            [sys.executable, "-c", script, *line.split()],
            stdout=out, stderr=subprocess.PIPE, text=True, check=False, env={**os.environ, "PYTHONUNBUFFERED": "", **environment},
        )  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "rollout list",
        "rollout status rollout/web --watch=false",
        "rollout status rollout/web --exit-on-pause",
        "describe rollout web",
        "rollout list --help",
        "options",
    ],
)
def test_a_full_disk_ends_the_plugin_with_one_line(plain: Cluster, ns: str, line: str) -> None:
    plain.rollout(ns, status=waiting(1))
    namespace = "" if line == "options" else f" -n {ns}"
    done = _run_into(FULL, "kubectl_kruise", f"{line}{namespace}", KUBECONFIG=str(plain.kubeconfig))
    assert (done.returncode, done.stderr) == (
        1,
        "error: the output cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize("line", ["install --print", "--version"])
def test_a_full_disk_ends_the_manager_program_with_one_line(line: str) -> None:
    done = _run_into(FULL, "kruise_rollout", line)
    assert (done.returncode, done.stderr) == (
        1,
        "error: the output cannot be written: No space left on device\n",
    )


def test_manifests_may_be_printed_for_somebody_who_reads_their_beginning() -> None:
    script = "import sys; from kruise_rollouts.main import kruise_rollout; sys.exit(kruise_rollout())"
    command = [sys.executable, "-c", script, "install", "--print"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0
