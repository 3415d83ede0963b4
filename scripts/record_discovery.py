"""Records which resources a real API server serves, with the columns it prints, for the sandbox to serve the same.

Facts only: names, verbs, short names, categories, subresources, column names. Run it with KUBECONFIG naming an API
server of the release to be imitated; it writes src/kruise_rollouts/sandbox/data/discovery.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "src/kruise_rollouts/sandbox/data/discovery.json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def fetch(config: dict[str, Any], path: str, accept: str) -> Any:
    """The decoded answer to GET `path`; None if it is not JSON."""
    user = config["users"][0]["user"]
    command = ["curl", "-sk", "-H", f"Accept: {accept}", "-H", f"Authorization: Bearer {user['token']}"]
    out = subprocess.run(
        [*command, config["clusters"][0]["cluster"]["server"] + path], capture_output=True, check=True
    )
    try:
        return json.loads(out.stdout)
    except ValueError:
        return None


def columns_of(config: dict[str, Any], group: str, version: str, plural: str) -> list[list[Any]]:
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    table = fetch(config, f"{root}/{plural}?limit=1", TABLE) or {}
    return [[c["name"], c["type"], c["format"], c["priority"]] for c in table.get("columnDefinitions", [])]


def record(config: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry per group, in the server's order of preference; groups of CRDs are left out."""
    groups = []
    for path in ("/api", "/apis"):
        for item in fetch(config, path, AGGREGATED)["items"]:
            name = item["metadata"].get("name", "")
            if "." in name and not name.endswith(".k8s.io"):
                continue
            versions = []
            for version in item["versions"]:
                resources = version.get("resources", [])
                for resource in resources:
                    if "list" in resource["verbs"]:
                        plural = resource["resource"]
                        resource["columns"] = columns_of(config, name, version["version"], plural)
                versions.append({"version": version["version"], "resources": resources})
            groups.append({"group": name, "versions": versions})
    return groups


def main() -> int:
    raw = subprocess.run(
        ["kubectl", "config", "view", "--raw", "--minify", "-o", "json"], capture_output=True, check=True
    )
    groups = record(json.loads(raw.stdout))
    lines = []
    for group in groups:
        for version in group["versions"]:
            rows = ",\n".join(
                json.dumps(r, separators=(",", ":"), sort_keys=True) for r in version["resources"]
            )
            head = json.dumps({"group": group["group"], "version": version["version"]}, separators=(",", ":"))
            lines.append(f'{head[:-1]},"resources":[\n{rows}]}}')
    TARGET.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
