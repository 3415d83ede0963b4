"""One sandbox with the controller in it for all clients; each test has a namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from .process import Program, sandbox

numbers = count(1)


@pytest.fixture(scope="session")
def config() -> Iterator[Path]:
    """The kubeconfig of a sandbox whose clock runs 20 times as fast as the wall."""
    with sandbox("--rate", "20") as found:
        yield found


@pytest.fixture
def ns(config: Path, tmp_path: Path) -> str:
    """A namespace of the test's own."""
    name = f"clients-{next(numbers)}"
    Program("kubectl", config, tmp_path)("create", "namespace", name)
    return name
