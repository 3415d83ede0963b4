"""Built-in objects are completed and judged word for word as Kubernetes 1.36 did it.

`default_answers.json` was recorded from a real API server by scripts/record_defaults.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from default_cases import ANSWERS, NS, Case, cases, changed, told
from server_stage import Client, play

RECORDED = json.loads(ANSWERS.read_text())
CASES = list(cases())


async def answer(client: Client, case: Case, made: dict[str, Any]) -> dict[str, Any]:
    if case.verb == "create":
        body = changed(case.base, case.changes)
        got = await client.post(f"{case.path}?dryRun=All", body)
        return told(got.code, got.body, body)
    key = case.path + json.dumps(case.base)
    path = f"{case.path}/{case.base['metadata']['name']}"
    if key not in made:
        await client.delete(path, {"gracePeriodSeconds": 0})
        made[key] = await client.made(case.path, case.base)
        made[key]["metadata"].pop("resourceVersion")
    body = changed(made[key], case.changes)
    got = await client.put(f"{path}?dryRun=All", body)
    return told(got.code, got.body, body)


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """What the sandbox answers to every case; nothing is stored by any."""
    out: dict[str, Any] = {}

    async def story(client: Client) -> None:
        await client.made("/api/v1/namespaces", {"metadata": {"name": NS}})
        made: dict[str, Any] = {}
        for case in CASES:
            out[case.name] = await answer(client, case, made)

    play(story)
    return out


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_a_write_is_answered_as_kubernetes_answers_it(case: Case, given: dict[str, Any]) -> None:
    assert given[case.name] == RECORDED[case.name]
