"""What clients see of workloads that controllers look after."""

from __future__ import annotations

import json
from typing import Any

import pytest
from server_stage import Client

from kruise_rollouts.runtime.clock import LoopClock, run_virtual
from kruise_rollouts.sandbox.sandbox import Sandbox

JOBS = "/apis/batch/v1/namespaces/default/jobs"
REVISIONS = "/apis/apps/v1/namespaces/default/controllerrevisions"


@pytest.mark.parametrize("plural", ["daemonsets", "statefulsets"])
def test_a_client_that_writes_the_revision_itself_finds_the_same_bytes(plural: str) -> None:
    container = {"name": "main", "image": "nginx", "env": [{"value": "b", "name": "a"}]}
    template = {"spec": {"containers": [container]}, "metadata": {"labels": {"z": "1", "app": "x"}}}
    workload = {
        "metadata": {"name": "w"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template},
    }

    async def main() -> None:
        sandbox = Sandbox(LoopClock(), nodes=1)
        await sandbox.start()
        client = Client(sandbox)
        path = f"/apis/apps/v1/namespaces/default/{plural}"
        await client.made(path, workload)
        await sandbox.clock.sleep(5)
        stored = (await client.get(f"{path}/w")).body["spec"]["template"]
        (revision,) = (await client.get(REVISIONS)).body["items"]
        mine = {"spec": {"template": {**stored, "$patch": "replace"}}}
        assert json.dumps(revision["data"]) == json.dumps(mine, sort_keys=True)
        await sandbox.stop()

    run_virtual(main())


def test_a_job_that_runs_the_pause_image_never_ends() -> None:
    def a_job(name: str, image: str) -> dict[str, Any]:
        spec = {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}
        return {"metadata": {"name": name}, "spec": {"template": {"spec": spec}}}

    async def main() -> None:
        sandbox = Sandbox(LoopClock(), nodes=1)
        await sandbox.start()
        client = Client(sandbox)
        for name, image in (("waits", "registry.k8s.io/pause:3.10"), ("ends", "busybox")):
            await client.made(JOBS, a_job(name, image))
        await sandbox.clock.sleep(60)
        statuses = {j["metadata"]["name"]: j["status"] for j in (await client.get(JOBS)).body["items"]}
        assert statuses["waits"]["active"] == 1
        assert statuses["ends"]["succeeded"] == 1
        await sandbox.stop()

    run_virtual(main())
