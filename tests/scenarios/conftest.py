"""Each scenario becomes two tests: `[sandbox]` on the virtual clock, and `[cluster]` (marked so) on a real server."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stage" in metafunc.fixturenames:
        metafunc.parametrize("stage", ["sandbox", pytest.param("cluster", marks=pytest.mark.cluster)])
