"""A bare client of the API server that KUBECONFIG names, for tests that ask what Kubernetes itself would answer."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from base64 import b64decode
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml


class RealServer:
    """One connection. `call` gives the code and the decoded answer, whatever the code is."""

    def __init__(self) -> None:
        config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        if "certificate-authority-data" in cluster:
            authority = b64decode(cluster["certificate-authority-data"]).decode()
            context = ssl.create_default_context(cadata=authority)
        else:
            context = ssl.create_default_context(cafile=cluster.get("certificate-authority"))
        url = urlsplit(cluster["server"])
        self._connection = http.client.HTTPSConnection(url.hostname or "", url.port, context=context)
        self._headers = {"Authorization": f"Bearer {user['token']}", "User-Agent": "patch-test"}

    def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **params: str
    ) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": content_type}
        url = f"{path}?{urlencode(params)}" if params else path
        self._connection.request(method, url, raw, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text.startswith(b"{") else {"message": text.decode()}

    def __enter__(self) -> RealServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._connection.close()
