"""A sandbox as a process of its own, as people start it, and programs that talk to it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SECONDS = 120  # for one command


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


@contextmanager
def sandbox(*flags: str) -> Iterator[Path]:
    """`kruise-rollout sandbox` with `flags`; its kubeconfig."""
    command = [str(BIN / "kruise-rollout"), "sandbox", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        said: list[str] = []
        reader = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
        reader.start()
        try:
            line = process.stdout.readline()
            found = re.search(r"KUBECONFIG=(\S+)", line)
            assert found, f"no kubeconfig was told: {line}{''.join(said)}"
            yield Path(found[1].strip("'\""))
            assert process.poll() is None, "the sandbox ended by itself: " + "".join(said)
        finally:
            process.terminate()
            process.wait(20)


def program(name: str, variable: str) -> str:
    """The path of a program that `variable`, .tools or PATH has; "" if none has."""
    tool = ROOT / ".tools" / name
    return os.environ.get(variable) or (str(tool) if tool.exists() else shutil.which(name) or "")


class Program:
    """Runs one program against one cluster; `home` keeps what it caches."""

    def __init__(self, path: str, config: Path, home: Path, *first: str) -> None:
        self.path, self.config, self.home, self._first = path, config, home, first

    def run(self, *words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Said:
        """What came of it, whatever that is."""
        search = f"{BIN}:{os.environ['PATH']}"
        environment = {**os.environ, "KUBECONFIG": str(self.config), "HOME": str(self.home), "PATH": search}
        done = subprocess.run(
            [self.path, *self._first, *words],
            input=stdin,
            capture_output=True,
            text=True,
            env={**environment, **(env or {})},
            cwd=self.home,
            timeout=SECONDS,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def __call__(
        self, *words: str, stdin: str = "", code: int = 0, env: Mapping[str, str] | None = None
    ) -> str:
        """What it prints; it must end with `code`."""
        said = self.run(*words, stdin=stdin, env=env)
        assert said.code == code, (words, said)
        return said.all
