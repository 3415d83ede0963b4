"""Records what the API server of KUBECONFIG answers to the stories of tests/conformance, for the sandbox to be held against.

Run it on a newer Kubernetes to see what has changed: `git diff` does not show it, the test that replays the answers does.
Names of stories as arguments record only these anew. It uses namespaces `c-<story>` and a CRD of the group
conformance.example.com, and removes them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.conformance.on_cluster import RealServer, record
from tests.conformance.recording import FILE, Recording, load, save
from tests.conformance.stories import STORIES


async def main(wanted: list[str]) -> int:
    server = RealServer()
    known = {r.story.name: r for r in load().stories} if FILE.exists() else {}
    for story in STORIES:
        if not wanted or story.name in wanted:
            print(f"{story.name}: {len(story.asks)} requests", flush=True)
            known[story.name] = await record(server, story)
    version = json.loads((await server.call("GET", "/version")).body)["gitVersion"]
    recording = Recording(version, tuple(known[s.name] for s in STORIES if s.name in known))
    save(recording)
    asks = sum(len(r.answers) for r in recording.stories)
    print(f"{asks} answers of {version} in {FILE.name}, {FILE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
