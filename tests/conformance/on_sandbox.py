"""Plays a story on a fresh sandbox, on a virtual clock, through the entrance that HTTP requests take."""

from __future__ import annotations

import asyncio
from typing import Any

from kruise_rollouts.runtime.clock import LoopClock, run_virtual
from kruise_rollouts.sandbox.request import Request
from kruise_rollouts.sandbox.sandbox import Sandbox

from .asking import Got, Send, Sent, Story, play

TOKEN = "the-administrator"


def sandbox_send(sandbox: Sandbox) -> Send:
    async def send(sent: Sent) -> Got:
        request = Request(sent.method, sent.plain_path, sent.query, sent.headers, sent.body)
        answer = await sandbox.server.respond(request)
        body = answer.body if sent.method != "HEAD" else b""
        if answer.stream is not None:
            body = b"".join([chunk async for chunk in answer.stream])
        warnings = tuple(value for name, value in answer.headers if name == "Warning")
        return Got(answer.status, answer.content_type, warnings, body)

    return send


def on_sandbox(story: Story) -> tuple[dict[str, Any], ...]:
    """The answers of the sandbox to `story`."""

    async def main() -> tuple[dict[str, Any], ...]:
        sandbox = Sandbox(LoopClock(), nodes=1, rbac=True, token=TOKEN)
        await sandbox.start()
        namespaces = sandbox.server.registry.find("", "v1", "namespaces")
        assert namespaces is not None
        await sandbox.server.call("create", namespaces, "", "", {"metadata": {"name": story.ns}})
        await sandbox.clock.sleep(1)  # its service account is made
        played = await play(story, sandbox_send(sandbox), sandbox.clock.sleep, TOKEN)
        await sandbox.stop()
        return played.answers

    return run_virtual(asyncio.wait_for(main(), None))
