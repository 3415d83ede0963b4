"""A sandbox that is killed comes back with everything it had answered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kruise_rollouts.kube.errors import Gone
from kruise_rollouts.runtime.clock import LoopClock, run_virtual
from kruise_rollouts.sandbox.durable import LOG, SNAPSHOT, Journal
from kruise_rollouts.sandbox.sandbox import Sandbox
from kruise_rollouts.sandbox.store import Store


def opened(folder: Path) -> Store:
    store = Store()
    Journal(folder).open(store)
    return store


def an_object(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": name}, **more}


def test_objects_and_versions_outlive_the_process(tmp_path: Path) -> None:
    store = opened(tmp_path)
    a = store.create("", "things", an_object("a"))
    b = store.create("", "things", an_object("b"))
    store.update("", "things", {**a.obj, "n": 1}, a)
    store.delete("", "things", b)
    again = opened(tmp_path)
    assert again.list("", "things") == store.list("", "things")
    assert again.rv == store.rv
    assert again.create("", "things", an_object("c")).rv == store.rv + 1


def test_what_happened_before_a_restart_cannot_be_watched(tmp_path: Path) -> None:
    store = opened(tmp_path)
    first = store.create("", "things", an_object("a"))
    last = store.create("", "things", an_object("b"))
    again = opened(tmp_path)
    with pytest.raises(Gone):
        again.table("", "things").since(first.rv)
    assert again.table("", "things").since(last.rv) == 0


def test_a_line_cut_off_by_a_kill_is_dropped(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.create("", "things", an_object("a"))
    whole = (tmp_path / LOG).read_bytes()
    store.create("", "things", an_object("b"))
    log = (tmp_path / LOG).read_bytes()
    for cut in (len(whole), len(whole) + 1, (len(whole) + len(log)) // 2, len(log) - 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / SNAPSHOT).write_bytes((tmp_path / SNAPSHOT).read_bytes())
        (folder / LOG).write_bytes(log[:cut])
        assert [o["metadata"]["name"] for o in opened(folder).list("", "things")] == ["a"]


def test_a_kill_between_snapshot_and_log_repeats_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    entry = store.create("", "things", an_object("a"))
    store.delete("", "things", entry)
    log = (tmp_path / LOG).read_bytes()
    opened(tmp_path)  # folds the log into a snapshot
    (tmp_path / LOG).write_bytes(log)  # as if the new log had not been begun
    again = opened(tmp_path)
    assert again.list("", "things") == []
    assert again.rv == store.rv


def test_another_file_is_not_taken_for_a_journal(tmp_path: Path) -> None:
    (tmp_path / SNAPSHOT).write_text("hello\n")
    with pytest.raises(ValueError, match="no journal of a sandbox"):
        opened(tmp_path)


WRITER = """
import asyncio, json, sys
from pathlib import Path
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.sandbox.sandbox import Sandbox

async def main():
    sandbox = Sandbox(WallClock(), nodes=1, data=Path(sys.argv[1]))
    await sandbox.start()
    api = sandbox.api()
    path = "/api/v1/namespaces/default/configmaps"
    for i in range(100000):
        body = json.dumps({"metadata": {"name": f"m{i}"}}).encode()
        print(json.loads(await api.request("POST", path, body=body))["metadata"]["resourceVersion"], flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
def test_nothing_that_was_answered_is_lost_to_a_kill(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    answered = [int(process.stdout.readline()) for _ in range(200)]
    os.kill(process.pid, signal.SIGKILL)
    answered += [int(line) for line in process.stdout.read().splitlines() if line]
    process.wait()
    store = opened(tmp_path)
    kept = {int(o["metadata"]["resourceVersion"]) for o in store.list("", "configmaps", "default")}
    assert set(answered) <= kept
    assert store.rv >= max(answered)
    assert json.loads((tmp_path / SNAPSHOT).read_bytes().splitlines()[-1])[0] == store.rv


def test_tokens_and_addresses_of_pods_outlive_the_process(tmp_path: Path) -> None:
    async def started(names: tuple[str, ...]) -> Sandbox:
        sandbox = Sandbox(LoopClock(), nodes=1, data=tmp_path, token="t")
        await sandbox.start()
        pods = sandbox.server.registry.find("", "v1", "pods")
        assert pods is not None
        for name in names:
            body = {"metadata": {"name": name}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
            await sandbox.clock.sleep(1)
            await sandbox.server.call("create", pods, "default", "", body)
        await sandbox.clock.sleep(3)
        return sandbox

    def addresses(sandbox: Sandbox) -> list[str]:
        return [p["status"]["podIP"] for p in sandbox.server.store.list("", "pods", "default")]

    async def main() -> None:
        first = await started(("a", "b"))
        token = first.access.signer.sign({"sub": "x"})
        kept = addresses(first)
        await first.stop()
        second = await started(("c",))
        assert second.access.signer.read(token) == {"sub": "x"}
        assert addresses(second)[:2] == kept
        assert len(set(addresses(second))) == 3
        await second.stop()

    run_virtual(main())
    assert (tmp_path / "service-account.key").stat().st_mode & 0o077 == 0
