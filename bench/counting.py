"""An Api that counts what goes through it, by what it is for. Watches and leases are left out, as in every figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping

from kruise_rollouts.kube.protocols import Api


class CountingApi:
    """Hands everything on to `api`."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.requests: Counter[str] = Counter()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> bytes:
        if "/leases" not in path:
            self.requests[label(method, path)] += 1
        return await self._api.request(
            method, path, params=params, body=body, content_type=content_type, timeout=timeout
        )

    def watch(self, path: str, params: Mapping[str, str], *, idle_seconds: float) -> AsyncIterator[bytes]:
        return self._api.watch(path, params, idle_seconds=idle_seconds)

    def taken(self) -> Counter[str]:
        """What was counted since the last call."""
        found, self.requests = self.requests, Counter()
        return found


def label(method: str, path: str) -> str:
    """ "PATCH rollouts/status": the verb, the resource, the subresource."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    return f"{method} {rest[0]}" + (f"/{rest[2]}" if len(rest) > 2 else "")


def status_writes(counted: Counter[str]) -> int:
    """Writes of the status of Rollouts and BatchReleases."""
    return counted["PATCH rollouts/status"] + counted["PATCH batchreleases/status"]
