"""What clients see of workloads that controllers look after."""

from __future__ import annotations

import json

import pytest
from server_stage import Client

from kruise_rollouts.runtime.clock import LoopClock, run_virtual
from kruise_rollouts.sandbox.sandbox import Sandbox

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
