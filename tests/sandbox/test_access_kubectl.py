"""kubectl auth against the sandbox, with its own kubeconfig, over HTTPS."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.sandbox.sandbox import Sandbox
from kruise_rollouts.sandbox.wire.listen import Listener, kubeconfig, make_identity, write_kubeconfig

pytestmark = [
    pytest.mark.kubectl,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl on PATH"),
]


class Kubectl:
    def __init__(self, config: Path) -> None:
        self._config = config

    async def __call__(self, *args: str) -> str:
        """What kubectl prints, errors included."""
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            f"--kubeconfig={self._config}",
            f"--cache-dir={self._config.parent / 'cache'}",
            *args,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        return out.decode()


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    clock = WallClock()
    sandbox = Sandbox(clock, rbac=True)
    await sandbox.start()
    identity = make_identity(clock.now())
    listener = Listener(sandbox.server, identity, 0)
    await listener.start()
    config = tmp_path / "kubeconfig"
    write_kubeconfig(config, kubeconfig(listener.url, identity, sandbox.token))
    yield Kubectl(config)
    await listener.stop()
    await sandbox.stop()


async def test_the_administrator_may_do_everything(kubectl: Kubectl) -> None:
    assert "Username    admin" in await kubectl("auth", "whoami")
    assert await kubectl("auth", "can-i", "delete", "pods") == "yes\n"


async def test_a_service_account_may_do_what_it_is_bound_to(kubectl: Kubectl) -> None:
    await kubectl("create", "serviceaccount", "bot")
    token = (await kubectl("create", "token", "bot")).strip()
    assert "system:serviceaccount:default:bot" in await kubectl("--token", token, "auth", "whoami")
    assert await kubectl("--token", token, "get", "pods") == (
        'Error from server (Forbidden): pods is forbidden: User "system:serviceaccount:default:bot" cannot list resource '
        '"pods" in API group "" in the namespace "default"\n'
    )
    await kubectl("create", "rolebinding", "v", "--clusterrole=view", "--serviceaccount=default:bot")
    assert await kubectl("--token", token, "get", "pods") == "No resources found in default namespace.\n"


async def test_an_administrator_may_ask_as_somebody_else(kubectl: Kubectl) -> None:
    who = await kubectl("--as=bob", "--as-group=devs", "--as-group=ops", "auth", "whoami")
    assert "[devs ops system:authenticated]" in who
    assert await kubectl("--as=bob", "auth", "can-i", "delete", "pods") == "no\n"
