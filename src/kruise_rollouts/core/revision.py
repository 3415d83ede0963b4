"""Which pods a template makes: equality of pod templates, their hash, and the ReplicaSets of a Deployment by it.

Two templates are equal if Kubernetes would make the same pod of them: null, {}, [] and absent are one, quantities are
compared as numbers, and the label pod-template-hash (which the Deployment controller adds) does not count.
"""

from __future__ import annotations

import re
from decimal import Decimal
from hashlib import sha256

import msgspec
from msgspec import Raw, Struct

from kruise_rollouts.api.apps import Deployment, ReplicaSet
from kruise_rollouts.api.hashes import safe_encode
from kruise_rollouts.api.keys import POD_TEMPLATE_HASH, REVISION, STABLE_REVISION
from kruise_rollouts.kube.effects import Json

_QUANTITY = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i|)")
_SUFFIX = {s: Decimal(1000) ** n for n, s in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), -3)}
_SUFFIX |= {s: Decimal(1024) ** n for n, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_QUANTITY_MAPS = frozenset({"limits", "requests", "overhead"})
_QUANTITY_FIELDS = frozenset({"sizeLimit", "divisor"})
_HASH_LENGTH = 10
_REMEMBERED = 32768  # templates, 0.3 KiB each; a release compares the same few in every decision
_encode = msgspec.json.Encoder(order="deterministic").encode


def template_hash(template: Raw) -> str:
    """Ten characters that change exactly when the pods do. Opaque: not the hash of any other controller."""
    number = int.from_bytes(_fingerprint(template)[:8], "big")
    return safe_encode(str(number))[-_HASH_LENGTH:]


def same_template(one: Raw, other: Raw) -> bool:
    return one == other or _fingerprint(one) == _fingerprint(other)


class Revisions(Struct, frozen=True):
    """The ReplicaSets of one Deployment by what they are to a release."""

    new: ReplicaSet | None  # makes the pods of the present template; None: not created yet
    stable: ReplicaSet | None  # what the release set out from; None: there is no pod of another revision
    superseded: tuple[
        ReplicaSet, ...
    ]  # every other one; has pods only when releases follow each other too fast

    @property
    def old(self) -> tuple[ReplicaSet, ...]:
        """All but the new one."""
        return self.superseded if self.stable is None else (self.stable, *self.superseded)

    @property
    def first_to_go(self) -> ReplicaSet | None:
        """The newest superseded one that has pods; None: there is none."""
        return next((r for r in reversed(self.superseded) if r.replicas > 0), None)

    @property
    def new_pods(self) -> int:
        """Wanted of the present template."""
        return 0 if self.new is None else self.new.replicas

    @property
    def old_pods(self) -> int:
        """Wanted of all other templates."""
        return sum(r.replicas for r in self.old)


def revisions_of(deployment: Deployment, replica_sets: tuple[ReplicaSet, ...]) -> Revisions:
    """Sorts the ReplicaSets that `deployment` controls; others (selectors may overlap) do not count."""
    own = [r for r in replica_sets if is_owned(r, deployment)]
    own.sort(key=lambda r: (r.metadata.creation_timestamp or "", r.metadata.name))
    # The oldest of equals, as the Deployment controller chooses.
    new = next((r for r in own if same_template(r.spec.template, deployment.spec.template)), None)
    old = sorted((r for r in own if r is not new), key=revision_number)
    active = [r for r in old if r.replicas > 0]
    named = deployment.metadata.labels.get(STABLE_REVISION, "")
    stable = next((r for r in active if hash_label(r) == named), active[0] if active else None)
    return Revisions(new, stable, tuple(r for r in old if r is not stable))


def is_controlled(replica_set: ReplicaSet, deployment: Deployment) -> bool:
    """True if `deployment`, this incarnation, counts the pods of `replica_set`: until it is gone."""
    owner = replica_set.metadata.controller
    return owner is not None and owner.uid == deployment.metadata.uid


def is_owned(replica_set: ReplicaSet, deployment: Deployment) -> bool:
    """True if `deployment` controls `replica_set` and it is not being deleted."""
    return is_controlled(replica_set, deployment) and replica_set.metadata.deletion_timestamp is None


def hash_label(replica_set: ReplicaSet) -> str:
    """Value of pod-template-hash on its pods."""
    return replica_set.metadata.labels.get(POD_TEMPLATE_HASH, "")


def revision_number(replica_set: ReplicaSet) -> tuple[int, str]:
    """Sorts ReplicaSets from the oldest template to the newest."""
    text = replica_set.metadata.annotations.get(REVISION, "")
    return (int(text) if text.isdecimal() else 0, replica_set.metadata.creation_timestamp or "")


_fingerprints: dict[bytes, bytes] = {}  # by the hash of a template's text, which says nothing else


def _fingerprint(template: Raw) -> bytes:
    """A hash of the template in one spelling. What is known is kept without the text: there are many templates."""
    text = bytes(template)
    spelling = sha256(text).digest()
    found = _fingerprints.get(spelling)
    if found is None:
        found = sha256(_encode(_pod_of(text))).digest()
        if len(_fingerprints) >= _REMEMBERED:
            _fingerprints.clear()
        _fingerprints[spelling] = found
    return found


def _pod_of(template: bytes) -> Json:
    """The template in one spelling: nothing empty, quantities as numbers, without the controller's own label."""
    plain = _plain(msgspec.json.decode(template), False)
    labels = (plain or {}).get("metadata", {}).get("labels", {})
    if POD_TEMPLATE_HASH in labels:
        kept = {k: v for k, v in labels.items() if k != POD_TEMPLATE_HASH}
        plain["metadata"]["labels"] = kept
        plain = _plain(plain, False)
    return plain


def _plain(value: Json, is_quantity: bool) -> Json:
    """`value` without nulls and empty containers, however deep; None if nothing is left."""
    if isinstance(value, dict):
        inside = {
            k: _plain(v, is_quantity or k in _QUANTITY_FIELDS)
            for k, v in value.items()
            if k not in _QUANTITY_MAPS
        }
        inside |= {k: _plain(v, True) for k, v in value.items() if k in _QUANTITY_MAPS}
        return {k: v for k, v in inside.items() if v is not None} or None
    if isinstance(value, list):
        return [_plain(v, is_quantity) for v in value] or None
    return _amount(value) if is_quantity else value


def _amount(value: Json) -> Json:
    """A quantity as a plain number in text; anything else as it is."""
    found = _QUANTITY.fullmatch(str(value))
    if found is None or isinstance(value, bool):
        return value
    number, suffix = found.groups()
    exact = (
        Decimal(number + suffix)
        if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei"
        else Decimal(number) * _SUFFIX[suffix]
    )
    return format(exact.normalize(), "f")
