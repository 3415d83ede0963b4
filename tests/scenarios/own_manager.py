"""Manager processes that a test may kill, stop and start again, each behind an API server that can misbehave.

They take the place of the run's shared manager: webhooks are reached at one address, so nothing else may need an
answer meanwhile. What happens to them is the tests' matter.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from pathlib import Path

import yaml

from kruise_rollouts.runtime.kubeconfig import connect

from .shared_manager import environ_of, free_port, install_for, run_manager, said_lately, wait_ready


class OwnManager:
    """One process at a time, at one webhook address. `folder` keeps its certificates and its log."""

    def __init__(self, folder: Path, *, server: str = "", ns: str = "", flags: tuple[str, ...] = ()) -> None:
        """`server`: URL of a proxy in front of the API server; "": none. `ns`: of its Lease and Secret."""
        self._folder = folder
        self._flags = flags
        self._webhook, self._health = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._environ = environ_of(folder, self._webhook)
        if ns:
            self._environ |= {"POD_NAMESPACE": ns, "WEBHOOK_CERT_WRITER": "secret"}
        if server:
            self._environ["KUBECONFIG"] = str(_kubeconfig(folder, server))

    def install(self) -> None:
        """CRDs, rights and webhooks, past any proxy."""
        install_for(self._webhook)

    def begin(self) -> None:
        """Starts the process; see `ready`."""
        assert self._process is None or self._process.poll() is not None, "it runs"
        self._process = run_manager(self._folder, self._environ, self._health, *self._flags)

    async def start(self) -> None:
        """Starts the process, and returns when it is ready."""
        self.begin()
        await asyncio.to_thread(self.wait_ready)

    def wait_ready(self) -> None:
        assert self._process is not None, "it was not started"
        wait_ready(self._process, self._health, self._folder)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Sends a signal to it, if it runs."""
        if self.running:
            assert self._process is not None
            self._process.send_signal(number)

    async def ended(self, within: float = 30.0) -> int:
        """The exit code, once it has ended by itself."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, within)

    def kill(self) -> None:
        """kill -9, stopped or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def said(self, lines: int = 60) -> str:
        return said_lately(self._folder, lines)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)


def _kubeconfig(folder: Path, server: str) -> Path:
    """One that leads to `server`, which adds the credentials."""
    given = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    for cluster in given["clusters"]:
        cluster["cluster"] = {"server": server}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(given))
    path.chmod(0o600)
    return path


def same_host() -> bool:
    """Whether the API server runs on this machine, and so can reach webhooks on it."""
    host = connect().server.partition("://")[2].rpartition(":")[0]
    return host in ("127.0.0.1", "localhost", "[::1]", socket.gethostname())
