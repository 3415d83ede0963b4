"""A `kube.protocols.Api` that calls a Server in this process: same answers and errors as over HTTPS, no socket."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping

from kruise_rollouts.kube.errors import ApiError, error_of

from .request import SYSTEM, Request, Response, User
from .server import Server

_WARNING = re.compile(r'\b299 \S+ "((?:[^"\\]|\\.)*)"')


class DirectApi:
    """Requests as `user`. `on_warning` is handed the text of each Warning header."""

    def __init__(
        self,
        server: Server,
        user: User = SYSTEM,
        user_agent: str = "kruise-rollout",
        on_warning: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._server = server
        self._user = user
        self._agent = user_agent
        self._on_warning = on_warning

    async def _respond(
        self, method: str, path: str, params: Mapping[str, str] | None, body: bytes, content_type: str
    ) -> Response:
        headers = {"accept": "application/json", "user-agent": self._agent}
        if body:
            headers["content-type"] = content_type
        query = tuple((params or {}).items())
        answer = await self._server.respond(Request(method, path, query, headers, body, self._user))
        for name, value in answer.headers:
            if name == "Warning":
                for text in _WARNING.findall(value):
                    self._on_warning(text)
        return answer

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
        """See Api.request. `timeout` has no meaning here: nothing is in between that could hang."""
        answer = await self._respond(method, path, params, body or b"", content_type)
        if answer.status >= 300:
            raise _error(answer)
        return answer.body

    async def watch(
        self, path: str, params: Mapping[str, str], *, idle_seconds: float
    ) -> AsyncIterator[bytes]:
        """See Api.watch. Ends when the server ends it; `idle_seconds` has no meaning here."""
        answer = await self._respond("GET", path, {**params, "watch": "true"}, b"", "")
        if answer.status >= 300:
            raise _error(answer)
        if answer.stream is None:
            return
        try:
            async for chunk in answer.stream:
                for line in chunk.splitlines():
                    yield line
        finally:
            await answer.stream.aclose()


def _error(answer: Response) -> ApiError:
    after = dict(answer.headers).get("Retry-After")
    return error_of(answer.status, answer.body, float(after) if after else None)
