"""Pod templates: comparing two, naming one by a hash, making a pod of one."""

from __future__ import annotations

import hashlib
from collections.abc import Container

import msgspec

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.objects import Kind

from . import facts

HASH_LABEL = "pod-template-hash"
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels and no look-alikes: a name never spells a word
SUFFIX_LENGTH = 5
MAX_PREFIX = 58  # of a generated name

_encode = msgspec.json.Encoder(order="sorted").encode


def spell(digest: bytes, length: int) -> str:
    """`length` letters of ALPHABET that stand for `digest`."""
    number = int.from_bytes(digest, "big")
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[rest])
    return "".join(letters)


def template_hash(template: JsonObject, collisions: int) -> str:
    """A name for `template`; `collisions` tells apart templates that would get the same one."""
    digest = hashlib.sha256(_encode(_bare(template)) + (b"%d" % collisions if collisions else b"")).digest()
    return spell(digest, 9)


def same_template(one: JsonObject, other: JsonObject) -> bool:
    """Whether both make the same pods; the hash label does not count."""
    return bool(one is other or _bare(one) == _bare(other))


def _bare(template: JsonObject) -> JsonObject:
    pruned = _pruned(template)
    metadata = {k: v for k, v in (pruned.get("metadata") or {}).items() if v not in ({}, None)}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH_LABEL}
    metadata.pop("labels", None)
    if labels:
        metadata["labels"] = labels
    return {**pruned, "metadata": metadata}


def _pruned(value: Json) -> Json:
    """Without nulls and empty lists, which mean the same as absence. {} stays: `emptyDir: {}` says something."""
    if isinstance(value, dict):
        return {k: _pruned(v) for k, v in value.items() if v is not None and v != []}
    if isinstance(value, list):
        return [_pruned(v) for v in value]
    return value


def pod_of(
    template: JsonObject, owner: JsonObject, kind: Kind, name: str, *, generated: bool = True
) -> JsonObject:
    """The body of a pod made from `template` and controlled by `owner`."""
    metadata: JsonObject = {"name": name, "namespace": facts.ns(owner)}
    if generated:
        metadata["generateName"] = facts.name(owner) + "-"
    of_template = template.get("metadata") or {}
    for key in ("labels", "annotations", "finalizers"):
        if of_template.get(key):
            metadata[key] = of_template[key]
    metadata["ownerReferences"] = [facts.owner_ref(kind, owner)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def fresh_names(prefix: str, seed: str, count: int, taken: Container[str]) -> list[str]:
    """`count` names `prefix` + five letters, none of them in `taken`; the same for the same `seed`."""
    names: dict[str, None] = {}
    for i in range(count):
        salt = 0
        while True:
            digest = hashlib.blake2b(f"{seed}/{i}/{salt}".encode(), digest_size=8).digest()
            name = prefix[:MAX_PREFIX] + spell(digest, SUFFIX_LENGTH)
            if name not in taken and name not in names:
                break
            salt += 1
        names[name] = None
    return list(names)
