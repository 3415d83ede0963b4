"""Records which fields Kubernetes writes even when they hold nothing, for the sandbox to write the same.

A field of the Go types is left out when it is zero, unless it is a pointer ("kept": written if it was given), or has
no omitempty ("always": written in every object). OpenAPI does not tell these apart, so they are read from the tags in
the published Go modules k8s.io/api and k8s.io/apimachinery. Usage: record_zeroes.py ROOT VERSION, where
ROOT/api@VERSION is the unpacked module; writes src/kruise_rollouts/sandbox/data/zeroes.json.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from kruise_rollouts.sandbox.schemas.schema import recorded_definitions

TARGET = Path(__file__).resolve().parent.parent / "src/kruise_rollouts/sandbox/data/zeroes.json"
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r'^\t(?:(\w+)\s+)?([\w.*\[\]]+)\s+`[^`]*json:"([^"]*)"', re.MULTILINE)
# Structs that show as one scalar, or as whatever they hold.
SCALARS = ("Quantity", "IntOrString", "Time", "MicroTime", "Duration", "FieldsV1", "RawExtension", "JSON")
BASIC = ("string", "bool", "int", "int32", "int64", "float64", "byte")


def folder_of(definition: str, root: Path, version: str) -> tuple[Path, str] | None:
    """Where the Go package of `definition` is, and the type's name."""
    package, _, name = definition.rpartition(".")
    for prefix, module, below in (
        ("io.k8s.api.", "api", ""),
        ("io.k8s.apimachinery.pkg.", "apimachinery", "pkg"),
    ):
        if package.startswith(prefix):
            path = package.removeprefix(prefix).replace(".", "/")
            return root / f"{module}@{version}" / below / path, name
    return None


class Package:
    """The structs of one Go package, and which of its named types are structs."""

    def __init__(self, folder: Path) -> None:
        text = "\n".join(
            f.read_text() for f in sorted(folder.glob("*.go")) if not f.name.endswith("_test.go")
        )
        self.structs = dict(STRUCT.findall(text))
        self.others = dict(re.findall(r"^type (\w+) ([\w.\[\]*]+)$", text, re.MULTILINE))

    def is_struct(self, type_: str) -> bool:
        return type_ in self.structs

    def fields(self, name: str) -> Iterator[tuple[str, str, list[str]]]:
        """(JSON name, Go type, options), inlined structs included."""
        for _, type_, tag in FIELD.findall(self.structs.get(name, "")):
            json_name, *options = tag.split(",")
            if "inline" in options or not json_name:
                if self.is_struct(type_):
                    yield from self.fields(type_)
                continue
            yield json_name, type_, options

    def is_value_struct(self, type_: str) -> bool:
        name = type_.rpartition(".")[2]
        if type_.startswith(("*", "[", "map")) or name in BASIC or self.others.get(name):
            return False
        return self.is_struct(type_) or ("." in type_ and name not in FOREIGN_SCALARS)


FOREIGN_SCALARS = (
    "UID", "Protocol", "ConditionStatus", "ResourceName", "NodeSelectorOperator", "RawExtension", "JSON", "FieldsV1",
    "PersistentVolumeReclaimPolicy", "LabelSelectorOperator", "TopologySelectorTerm", "ServiceExternalTrafficPolicy",
    "NamespacedName", "TaintEffect", "TolerationOperator", "PodConditionType",
)  # fmt: skip


def flags(package: Package, name: str) -> dict[str, list[str]]:
    kept, always = [], []
    for field, type_, options in package.fields(name):
        if type_.startswith("*"):
            (kept if "omitempty" in options else always).append(field)
        elif "omitzero" in options:
            continue
        elif "omitempty" not in options or package.is_value_struct(type_):
            always.append(field)
    found = {"always": sorted(always), "kept": sorted(kept)}
    return {k: v for k, v in found.items() if v}


def main(root: Path, version: str) -> None:
    packages: dict[Path, Package] = {}
    out = {}
    for definition, raw in sorted(recorded_definitions().items()):
        at = folder_of(definition, root, version)
        if at is None or "properties" not in raw or at[1] in SCALARS:
            continue
        package = packages.setdefault(at[0], Package(at[0]))
        found = flags(package, at[1])
        if found:
            out[definition] = found
    TARGET.write_text(json.dumps(out, separators=(",", ":")) + "\n")
    print(f"{len(out)} definitions, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
