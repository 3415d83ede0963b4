"""What people type at a real cluster prints the same at a sandbox, but for names and times."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from .both import Typed, Typist, commands
from .process import Program, program, sandbox

OLD, CURRENT = program("kubectl-1.20", "KUBECTL_OLD"), program("kubectl", "KUBECTL")
KUBECTLS = [path for path in (CURRENT, OLD) if path]
# What only newer ones know, or show otherwise: 1.20 shows the owners of fields, ordered by seconds.
NOT_OLD = (
    "whoami", "create token", "--subresource", "--for=jsonpath", "wait --for=", "debug", "--validate=", "server-side",
    "-o yaml", "-o json", 'diff -f "$CHANGED"',
)  # fmt: skip
SUBJECTS = ("reading", "creating", "changing")
pytestmark = [pytest.mark.slow, pytest.mark.kubectl, pytest.mark.cluster]
numbers = count(os.getpid() * 10)


@pytest.fixture(scope="module")
def bare() -> Iterator[Path]:
    """A sandbox as like a cluster without our controller as can be: roles are enforced."""
    with sandbox("--no-controller", "--rbac") as config:
        yield config


def _together(typists: tuple[Typist, Typist], lines: list[str]) -> list[tuple[Typed, Typed]]:
    with ThreadPoolExecutor(2) as pool:
        played = list(pool.map(lambda typist: [typist.type(line) for line in lines], typists))
    return list(zip(*played, strict=True))


def _difference(real: Typed, mine: Typed) -> str:
    out = [f"$ {real.command}"]
    if real.code != mine.code:
        out.append(f"  ended with {real.code} there, with {mine.code} here")
    for there, here in ((real.out, mine.out), (real.err, mine.err)):
        if there != here:
            lines = difflib.unified_diff(
                there.split("\n"), here.split("\n"), "real", "sandbox", lineterm="", n=0
            )
            out += [f"  {line}" for line in list(lines)[2:40]]
    return "\n".join(out)


@pytest.mark.parametrize(
    ("kubectl", "subject"),
    [*((k, s) for k in KUBECTLS for s in SUBJECTS), (CURRENT, "definitions")],
    ids=lambda value: Path(value).name,
)
def test_what_is_typed_at_both_prints_the_same(
    kubectl: str, subject: str, bare: Path, tmp_path: Path
) -> None:
    ns = f"typed-{next(numbers)}"
    real, homes = Path(os.environ["KUBECONFIG"]), (tmp_path / "real", tmp_path / "mine")
    typists = []
    for home, config in zip(homes, (real, bare), strict=True):
        home.mkdir()
        Program(CURRENT, config, home)("create", "namespace", ns)
        typists.append(Typist(kubectl, config, home, ns))
    lines = [line for line in commands(subject) if kubectl != OLD or not any(new in line for new in NOT_OLD)]
    try:
        pairs = _together((typists[0], typists[1]), lines)
    finally:
        for home, config in zip(homes, (real, bare), strict=True):
            Program(CURRENT, config, home).run("delete", "namespace", ns, "--wait=false")
            Program(CURRENT, config, home).run(
                "delete", "crd", "widgets.typed.example.com", "--ignore-not-found"
            )
    found = [_difference(there, here) for there, here in pairs if there != here]
    assert not found, f"{len(found)} of {len(pairs)} commands differ:\n" + "\n".join(found)
