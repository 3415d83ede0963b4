"""The real program as a process of its own: `kruise-rollout manager` on the API server of KUBECONFIG.

For figures of memory and start, and wherever what measures must not share a process with what is measured.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.plane import free_port

PROGRAM = str(Path(sys.executable).parent / "kruise-rollout")
READY_SECONDS = 180.0


class Program:
    """A running manager."""

    def __init__(self, process: subprocess.Popen[bytes], metrics: int, log: Path) -> None:
        self.process = process
        self.ready_after = 0.0  # seconds from the start of the process until /readyz said yes
        self._metrics = metrics
        self._log = log

    def memory(self) -> tuple[float, float]:
        """MiB resident now, and at most so far."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        found = {name: value for name, _, value in (line.partition(":") for line in lines)}
        return int(found["VmRSS"].split()[0]) / 1024, int(found["VmHWM"].split()[0]) / 1024

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def requests(self) -> int:
        """Requests sent to the API server since the start; watches that are open are not among them."""
        text = await asyncio.to_thread(_read, f"http://127.0.0.1:{self._metrics}/metrics")
        lines = (line for line in text.splitlines() if line.startswith("kruise_rollout_api_requests_total{"))
        return int(sum(float(line.rpartition(" ")[2]) for line in lines))

    def complaints(self) -> list[str]:
        """Lines of its log that tell of a bug."""
        return [line for line in self._log.read_text().splitlines() if " ERROR " in line]


@asynccontextmanager
async def program(*flags: str) -> AsyncIterator[Program]:
    """Installs, starts a manager and waits until it is ready; ends it after."""
    webhook, health, metrics = free_port(), free_port(), free_port()
    url = f"https://127.0.0.1:{webhook}"
    await asyncio.to_thread(
        subprocess.run, [PROGRAM, "install", "--webhook-url", url], check=True, capture_output=True
    )
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        environ = {
            **os.environ,
            "WEBHOOK_HOST": "127.0.0.1",
            "WEBHOOK_PORT": str(webhook),
            "WEBHOOK_CERT_DIR": folder,
        }
        command = [PROGRAM, "manager", "--metrics-bind-address", f"127.0.0.1:{metrics}"]
        command += ["--health-probe-bind-address", f"127.0.0.1:{health}", *flags]
        began = time.monotonic()
        with log.open("wb") as out:
            process = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
        found = Program(process, metrics, log)
        try:
            while not await asyncio.to_thread(_answers, f"http://127.0.0.1:{health}/readyz"):
                if process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                    raise RuntimeError(f"the manager is not ready:\n{log.read_text()}")
                await asyncio.sleep(0.01)
            found.ready_after = time.monotonic() - began
            yield found
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 40)


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def _answers(url: str) -> bool:
    try:
        return bool(_read(url) or True)
    except (urllib.error.URLError, OSError):
        return False
