"""Clusters that live as long as the run, and the plugin called as kubectl calls it, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from msgspec import Struct

from kruise_rollouts.cli.kubectl_kruise import main

from .cluster import Cluster, cluster

numbers = count(1)


class Said(Struct, frozen=True):
    """What a command came to."""

    code: int
    out: str
    err: str


Kruise = Callable[..., Said]


@pytest.fixture(scope="session")
def plain() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(scope="session")
def managed() -> Iterator[Cluster]:
    with cluster(managed=True) as running:
        yield running


@pytest.fixture
def ns(plain: Cluster) -> str:
    """A namespace of the test's own."""
    name = f"t{next(numbers)}"
    plain.namespace(name)
    return name


@pytest.fixture
def kruise(plain: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Kruise:
    """Runs kubectl-kruise against `plain`."""
    monkeypatch.setenv("KUBECONFIG", str(plain.kubeconfig))

    def run(line: str, *more: str) -> Said:
        capsys.readouterr()
        code = main([*line.split(), *more])
        seen = capsys.readouterr()
        return Said(code, seen.out, seen.err)

    return run
