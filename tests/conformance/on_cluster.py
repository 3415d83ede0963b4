"""Plays a story on the API server that KUBECONFIG names, in a namespace of its own."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from kruise_rollouts.runtime.clock import WallClock

from .asking import Got, Sent, Story, play
from .recording import Recorded

_CLOCK = WallClock()


class RealServer:
    """The API server of KUBECONFIG, as its administrator. One connection per request: some answers end it."""

    def __init__(self) -> None:
        config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        data = cluster.get("certificate-authority-data")
        authority = b64decode(data).decode() if data else Path(cluster["certificate-authority"]).read_text()
        self._context = ssl.create_default_context(cadata=authority)
        self._url = urlsplit(cluster["server"])
        self.token = str(user["token"])

    async def send(self, sent: Sent) -> Got:
        host = self._url.hostname or ""
        connection = http.client.HTTPSConnection(host, self._url.port, context=self._context, timeout=60)
        try:
            connection.request(sent.method, sent.path, sent.body or None, sent.headers)
            answer = connection.getresponse()
            warnings = tuple(answer.headers.get_all("Warning") or ())
            media = answer.headers.get("Content-Type") or ""
            return Got(answer.status, media, warnings, answer.read())
        finally:
            connection.close()

    async def call(self, method: str, path: str, body: Any = None) -> Got:
        raw = b"" if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        return await self.send(Sent(method, path, raw, headers))

    async def remove(self, path: str) -> None:
        """Deletes what is at `path` and returns when it is gone."""
        for _ in range(300):
            if (await self.call("DELETE", path)).code == 404:
                return
            await _CLOCK.sleep(0.2)
        raise SystemExit(f"{path} does not go away")


async def record(server: RealServer, story: Story) -> Recorded:
    paths = (f"/api/v1/namespaces/{story.ns}", *story.cluster_wide)
    for path in paths:
        await server.remove(path)
    await server.call("POST", "/api/v1/namespaces", {"metadata": {"name": story.ns}})
    while (await server.call("GET", f"{paths[0]}/serviceaccounts/default")).code != 200:
        await _CLOCK.sleep(0.1)
    try:
        return Recorded(story, (await play(story, server.send, _CLOCK.sleep, server.token)).answers)
    finally:
        for path in paths:
            await server.call("DELETE", path)
