"""Records the OpenAPI documents of a real API server, as far as they are structure, into sandbox/data/.

    KUBECONFIG=... python scripts/record_openapi.py

Texts for people (descriptions) are left out; kinds that come from CustomResourceDefinitions too. Three files,
because they are wanted at different times: definitions by every sandbox, the paths of the v3 documents and the
v2 document only by a client that asks.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "src/kruise_rollouts/sandbox/data"
KEPT = {"OK", "Created", "Accepted", "Unauthorized"}  # an OpenAPI response must have a description
NAMES = {
    "properties",
    "schemas",
    "definitions",
    "paths",
    "parameters",
}  # members of these are names, not keywords
KINDS = "x-kubernetes-group-version-kind"


def get(path: str) -> Any:
    done = subprocess.run(["kubectl", "get", "--raw", path], check=True, capture_output=True)
    return json.loads(done.stdout)


def structure(doc: Any, *, names: bool = False) -> Any:
    """`doc` without descriptions."""
    if isinstance(doc, list):
        return [structure(item) for item in doc]
    if not isinstance(doc, dict):
        return doc
    return {
        key: structure(value, names=key in NAMES and not names)
        for key, value in doc.items()
        if names or key != "description" or value in KEPT
    }


def is_native(group: str) -> bool:
    """Whether `group` can be built in: all that are have no dot, or end like this."""
    return "." not in group or group.endswith(".k8s.io")


def native_kinds(definition: Any) -> Any:
    """The kinds that `definition` says it is for, except custom ones."""
    return [kind for kind in definition.get(KINDS, ()) if is_native(kind["group"])]


def is_custom(path: str) -> bool:
    parts = path.strip("/").split("/")
    return len(parts) > 1 and parts[0] == "apis" and not is_native(parts[1])


def record_v2() -> dict[str, Any]:
    document: dict[str, Any] = structure(get("/openapi/v2"))
    document["paths"] = {p: v for p, v in document["paths"].items() if not is_custom(p)}
    native = {n: d for n, d in document["definitions"].items() if n.startswith("io.k8s.")}
    document["definitions"] = native
    for definition in native.values():
        if KINDS in definition:
            definition[KINDS] = native_kinds(definition)
    return document


def record_v3(v2: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Definitions by name, and the documents with names in place of their definitions.

    DeleteOptions and WatchEvent name other kinds in each document: those lists are kept beside the names, and
    the definition gets the list of all kinds, which is v2's.
    """
    definitions: dict[str, Any] = {}
    documents: dict[str, Any] = {}
    for path, entry in get("/openapi/v3")["paths"].items():
        if is_custom(path):
            continue
        document = structure(get(entry["serverRelativeURL"]))
        schemas = document.get("components", {}).get("schemas", {})
        kinds: dict[str, Any] = {}
        for name, definition in schemas.items():
            shared = dict(definition)
            if KINDS in shared:
                shared[KINDS] = v2["definitions"].get(name, shared)[KINDS]
                own = native_kinds(definition)
                if own != shared[KINDS]:
                    kinds[name] = own
            if definitions.setdefault(name, shared) != shared:
                sys.exit(f"{name} differs between documents, in {path}")
        if schemas:
            document["components"]["schemas"] = list(schemas)
        documents[path] = {"document": document, "kinds": kinds}
    return definitions, documents


def write(name: str, content: Any) -> None:
    text = json.dumps(content, separators=(",", ":")).encode()
    packed = gzip.compress(text, 9, mtime=0)
    (DATA / name).write_bytes(packed)
    print(f"{name}: {len(text)} bytes, {len(packed)} packed")


def main() -> None:
    v2 = record_v2()
    definitions, documents = record_v3(v2)
    write(
        "openapi_definitions.json.gz", {"version": get("/version")["gitVersion"], "definitions": definitions}
    )
    write("openapi_v3.json.gz", documents)
    write("openapi_v2.json.gz", v2)


if __name__ == "__main__":
    main()
