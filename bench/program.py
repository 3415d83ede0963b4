"""The real program as a process of its own: `kruise-rollout manager` on the API server of KUBECONFIG.

For figures of memory and start, and wherever what measures must not share a process with what is measured. It runs
as an installer leaves it, with compiled modules, whatever the environment of the bench says.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from bench.plane import a_rollout, free_port

from kruise_rollouts.operator.webhooks import ROLLOUT_PATH

PROGRAM = str(Path(sys.executable).parent / "kruise-rollout")
READY_SECONDS = 180.0
COMPILED = str(Path(tempfile.gettempdir()) / "kruise-rollout-bench-modules")


def as_installed(module: str) -> dict[str, str]:
    """An environment in which `module`, and what it imports, has been compiled."""
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = COMPILED
    subprocess.run([sys.executable, "-c", f"import {module}"], env=environ, check=True)
    return environ


def cpu_seconds_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> tuple[float, float]:
    """MiB resident now, and at most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return int(found["VmRSS"].split()[0]) / 1024, int(found["VmHWM"].split()[0]) / 1024


class Program:
    """A running manager."""

    def __init__(self, process: subprocess.Popen[bytes], metrics: int, log: Path) -> None:
        self.process = process
        self.admitted_after = 0.0  # seconds from the process's start until it has answered a review
        self.admitted_cpu = 0.0  # CPU seconds of the process until then
        self._metrics = metrics
        self._log = log

    def memory(self) -> tuple[float, float]:
        return memory_of(self.process.pid)

    def cpu_seconds(self) -> float:
        return cpu_seconds_of(self.process.pid)

    async def requests(self) -> int:
        """Requests sent to the API server since the start; watches that are open are not among them."""
        text = await asyncio.to_thread(_read, f"http://127.0.0.1:{self._metrics}/metrics")
        lines = (line for line in text.splitlines() if line.startswith("kruise_rollout_api_requests_total{"))
        return int(sum(float(line.rpartition(" ")[2]) for line in lines))

    def complaints(self) -> list[str]:
        """Lines of its log that tell of a bug."""
        return [line for line in self._log.read_text().splitlines() if " ERROR " in line]


class Place(NamedTuple):
    """Where managers serve admission, one after the other: one that starts anew finds all as it left it."""

    port: int
    folder: str  # of the certificates


@contextmanager
def installed() -> Iterator[Place]:
    """Installs, for managers that serve at this place."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(free_port(), folder)
        url = f"https://127.0.0.1:{place.port}"
        subprocess.run([PROGRAM, "install", "--webhook-url", url], check=True, capture_output=True)
        yield place


@asynccontextmanager
async def program(*flags: str, place: Place | None = None) -> AsyncIterator[Program]:
    """Starts a manager and waits until it is ready; ends it after. `place` None: a new one."""
    with contextlib.ExitStack() as kept:
        place = place or kept.enter_context(installed())
        health, metrics = free_port(), free_port()
        url = f"https://127.0.0.1:{place.port}"
        log = Path(place.folder) / f"log-{health}"
        environ = {
            **as_installed("kruise_rollouts.cli.serve"),
            "WEBHOOK_HOST": "127.0.0.1",
            "WEBHOOK_PORT": str(place.port),
            "WEBHOOK_CERT_DIR": place.folder,
        }
        command = [PROGRAM, "manager", "--metrics-bind-address", f"127.0.0.1:{metrics}"]
        command += ["--health-probe-bind-address", f"127.0.0.1:{health}", *flags]
        began = time.monotonic()
        with log.open("wb") as out:
            process = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
        found = Program(process, metrics, log)
        try:
            await _until(process, log, began, lambda: _admits(f"{url}{ROLLOUT_PATH}"))
            found.admitted_after, found.admitted_cpu = time.monotonic() - began, found.cpu_seconds()
            await _until(process, log, began, lambda: _answers(f"http://127.0.0.1:{health}/readyz"))
            yield found
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 40)


async def _until(
    process: subprocess.Popen[bytes], log: Path, began: float, holds: Callable[[], bool]
) -> None:
    while not await asyncio.to_thread(holds):
        if process.poll() is not None or time.monotonic() - began > READY_SECONDS:
            raise RuntimeError(f"the manager is not ready:\n{log.read_text()}")
        await asyncio.sleep(0.02)


def _admits(url: str) -> bool:
    """Whether a review is answered; one that is held is waited for, as an API server does."""
    spec = a_rollout("somebody", [{"replicas": "100%"}])
    kind = {"group": "rollouts.kruise.io", "version": "v1beta1", "kind": "Rollout"}
    asked = {"uid": "1", "kind": kind, "operation": "CREATE", "namespace": "default", "object": spec}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}
    request = urllib.request.Request(
        url, msgspec.json.encode(review), {"Content-Type": "application/json"}, method="POST"
    )
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, timeout=30, context=trusting) as answer:
            return b'"allowed":true' in answer.read()
    except (urllib.error.URLError, OSError):
        return False


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def _answers(url: str) -> bool:
    try:
        return bool(_read(url) or True)
    except (urllib.error.URLError, OSError):
        return False
