"""Records what a real API server makes of the manifests in tests/sandbox/default_cases, for tests of the sandbox.

Run it with KUBECONFIG naming an API server of the release to be imitated. It creates a few objects in a namespace
of its own (all else is dryRun), deletes them again, and writes tests/sandbox/default_answers.json. `--missing` asks
only what has not been recorded yet.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests/sandbox"
sys.path.insert(0, str(TESTS))

from default_cases import ANSWERS, NS, Case, cases, changed, told  # noqa: E402
from real_server import RealServer  # noqa: E402


class Recorder:
    def __init__(self, server: RealServer) -> None:
        self._server = server
        self._live: dict[str, dict[str, Any]] = {}

    def answer(self, case: Case) -> dict[str, Any]:
        if case.verb == "create":
            body = changed(case.base, case.changes)
            return told(*self._server.call("POST", case.path, body, dryRun="All"), body)
        key = case.path + json.dumps(case.base)
        if key not in self._live:
            self._live[key] = self._created(case)
        live = self._live[key]
        body = changed(live, case.changes)
        path = f"{case.path}/{case.base['metadata']['name']}"
        return told(*self._server.call("PUT", path, body, dryRun="All"), body)

    def _created(self, case: Case) -> dict[str, Any]:
        path = f"{case.path}/{case.base['metadata']['name']}"
        self._delete(path)
        code, made = self._server.call("POST", case.path, case.base)
        if code != 201:
            raise SystemExit(f"{case.path}: {made}")
        made["metadata"].pop("resourceVersion")
        return made

    def _delete(self, path: str) -> None:
        self._server.call("DELETE", path, {"gracePeriodSeconds": 0})
        freed = {"metadata": {"finalizers": None}}
        self._server.call("PATCH", path, freed, "application/merge-patch+json")

    def clean(self) -> None:
        for key, made in self._live.items():
            self._delete(f"{key[: key.index('{')]}/{made['metadata']['name']}")


def main() -> None:
    old = json.loads(ANSWERS.read_text()) if ANSWERS.exists() and "--missing" in sys.argv else {}
    with RealServer() as server:
        server.call("POST", "/api/v1/namespaces", {"metadata": {"name": NS}})
        recorder = Recorder(server)
        found = {c.name: old[c.name] if c.name in old else recorder.answer(c) for c in cases()}
        recorder.clean()
    lines = [f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in found.items()]
    ANSWERS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(len(found), "answers", ANSWERS.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
