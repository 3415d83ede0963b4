"""Records the protobuf field numbers of the built-in kinds, so that the sandbox can read what kubectl sends.

    record_protobuf.py FOLDER...

Each FOLDER is a checkout of a Go module that defines API types (k8s.io/api, apimachinery, apiextensions-apiserver)
of the release to be imitated. Facts only: message names, field numbers, types, JSON names. Writes
src/kruise_rollouts/sandbox/data/protobuf.json.gz.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "src/kruise_rollouts/sandbox/data/protobuf.json.gz"
FIELD = re.compile(
    r"^\s*(optional|repeated|map<\s*[\w.]+\s*,\s*([\w.]+)\s*>)\s*([\w.]*)\s*(\w+) = (\d+);", re.M
)
MESSAGE = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.M | re.S)
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.M | re.S)
TAG = re.compile(r'^\s*[\w.]*\s*(\S+)\s+`[^`]*json:"([^"]*)"[^`]*protobuf:"\w+,(\d+),[^"]*"', re.M)
ALPHA = re.compile(r"/v\d+(alpha|beta)\d+$")


def json_names(folder: Path) -> dict[tuple[str, int], tuple[str, bool]]:
    """(struct, field number) -> JSON name, and whether a zero value means that the field is absent.

    The name is "" for a field whose members are written in its place.
    """
    names = {}
    for path in folder.glob("*.go"):
        for struct, body in STRUCT.findall(path.read_text(encoding="utf-8")):
            for type_name, tag, number in TAG.findall(body):
                name, _, options = tag.partition(",")
                absent = "omitempty" in options and not type_name.startswith("*")
                names[(struct, int(number))] = ("" if "inline" in options and not name else name, absent)
    return names


def messages_of(path: Path) -> dict[str, dict[str, list[object]]]:
    text = re.sub(r"^\s*//.*\n", "", path.read_text(encoding="utf-8"), flags=re.M)
    found = re.search(r"^package ([\w.]+);", text, re.M)
    if found is None:
        return {}
    package, names = found.group(1), json_names(path.parent)
    out = {}
    for message, body in MESSAGE.findall(text):
        fields = {}
        for label, map_value, kind, name, number in FIELD.findall(body):
            type_name = map_value or kind
            if "." not in type_name and type_name[0].isupper():
                type_name = f"{package}.{type_name}"
            form = "map" if map_value else label
            json_name, absent = names.get((message, int(number)), (name, False))
            fields[number] = [json_name, form, type_name.lstrip("."), absent]
        out[f"{package}.{message}"] = fields
    return out


def main(folders: list[str]) -> int:
    messages: dict[str, dict[str, list[object]]] = {}
    for folder in folders:
        for path in sorted(Path(folder).rglob("generated.proto")):
            if not ALPHA.search(str(path.parent)):
                messages |= messages_of(path)
    raw = json.dumps(messages, separators=(",", ":"), sort_keys=True).encode()
    TARGET.write_bytes(gzip.compress(raw, mtime=0))
    print(f"{len(messages)} messages, {TARGET.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
