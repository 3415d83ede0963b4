"""The manager process that all scenarios of a run share on a real API server: the program as a user starts it.

The first process that needs it installs and starts it; the run ends it. Kept free of the product's code, so that it
costs nothing when nobody needs it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

RUN = "KRUISE_TEST_RUN"  # names the folder of the run
PROGRAM = str(Path(sys.executable).parent / "kruise-rollout")
READY_SECONDS = 60.0
LOG = "manager.log"


def shared_manager() -> None:
    """Returns when a manager is ready on the API server of KUBECONFIG. Raises AssertionError with its log if not."""
    if not os.environ.get("KUBECONFIG"):
        raise AssertionError("set KUBECONFIG to the API server that cluster scenarios may use")
    folder = Path(os.environ[RUN])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "pid").exists():
            start_manager(folder)


def start_manager(folder: Path, *flags: str) -> None:
    """Installs, starts a manager and waits until it is ready. Its pid and log are files in `folder`."""
    webhook, health = free_port(), free_port()
    install_for(webhook)
    process = run_manager(
        folder, environ_of(folder, webhook), health, "--feature-gates", "RolloutHistory=true", *flags
    )
    (folder / "pid").write_text(str(process.pid))
    wait_ready(process, health, folder)


def install_for(webhook: int) -> None:
    """CRDs, rights and webhooks, for a manager that serves at this port."""
    command = [PROGRAM, "install", "--webhook-url", f"https://127.0.0.1:{webhook}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def environ_of(folder: Path, webhook: int) -> dict[str, str]:
    """What a manager that serves at port `webhook` and keeps its certificates in `folder` is told."""
    return {
        **os.environ,
        "WEBHOOK_HOST": "127.0.0.1",
        "WEBHOOK_PORT": str(webhook),
        "WEBHOOK_CERT_DIR": str(folder / "certs"),
    }


def run_manager(folder: Path, environ: dict[str, str], health: int, *flags: str) -> subprocess.Popen[bytes]:
    """The process, in a session of its own; its log goes on in `folder`."""
    command = [PROGRAM, "manager", "--metrics-bind-address", "0", *flags]
    command += ["--health-probe-bind-address", f"127.0.0.1:{health}"]
    with (folder / LOG).open("a") as log:
        return subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)


def wait_ready(process: subprocess.Popen[bytes], health: int, folder: Path) -> None:
    """Returns when the manager is ready. Raises AssertionError with its log if it is not."""
    deadline = time.monotonic() + READY_SECONDS
    while not answers(f"http://127.0.0.1:{health}/readyz"):
        assert process.poll() is None, f"the manager ended:\n{said_lately(folder)}"
        assert time.monotonic() < deadline, (
            f"the manager is not ready after {READY_SECONDS:g} s:\n{said_lately(folder)}"
        )
        time.sleep(0.05)


def said_lately(folder: Path, lines: int = 80) -> str:
    """The end of the log of the manager of `folder`; "" if none was started."""
    log = folder / LOG
    return "\n".join(log.read_text().splitlines()[-lines:]) if log.exists() else ""


def keep_log(folder: Path) -> None:
    """Saves the log of the run's manager from the end of the run, and says where it is."""
    log = folder / LOG
    if log.exists():
        kept = shutil.copy(log, Path(tempfile.gettempdir()) / f"{folder.name}-manager.log")
        print(f"\nthe log of the run's manager: {kept}")


def stop_shared_manager(folder: Path, number: int = signal.SIGTERM) -> None:
    """Ends the manager of the run, if one was started, and shows what it complained about."""
    pid = folder / "pid"
    if not pid.exists():
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(pid.read_text()), number)
    pid.unlink()
    log = (folder / LOG).read_text().splitlines()
    bad = [line for line in log if "Traceback" in line or " ERROR " in line]
    if bad:
        print("the manager logged errors:", *bad[:20], sep="\n  ")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
