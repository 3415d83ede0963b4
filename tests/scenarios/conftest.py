"""Each scenario becomes two tests: `[sandbox]` on the virtual clock, and `[cluster]` (marked so) on a real server."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from .shared_manager import RUN, said_lately


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stage" in metafunc.fixturenames:
        metafunc.parametrize("stage", ["sandbox", pytest.param("cluster", marks=pytest.mark.cluster)])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure on a real server shows what the manager said last."""
    report = yield
    if report.failed and item.get_closest_marker("cluster"):
        report.sections.append(("manager.log", said_lately(Path(os.environ[RUN]))))
    return report
