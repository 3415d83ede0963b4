"""One folder per run, shared by all of pytest's processes; what scenarios start there is ended with the run."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from .scenarios.shared_manager import RUN, keep_log, stop_shared_manager

# A busy machine is no bug: no test here fails for being slow, and none is random between runs of CI.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("ours"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "ours")


def pytest_configure(config: pytest.Config) -> None:
    if RUN not in os.environ:
        os.environ[RUN] = tempfile.mkdtemp(prefix="kruise-tests-")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.TESTS_FAILED and not hasattr(session.config, "workerinput"):
        keep_log(Path(os.environ[RUN]))


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the process that began the run, not a worker of it
        folder = Path(os.environ.pop(RUN))
        stop_shared_manager(folder)
        shutil.rmtree(folder, ignore_errors=True)
