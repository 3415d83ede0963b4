"""What the client wants to see: media type and form, read from the Accept header."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

from msgspec import Struct

from kruise_rollouts.kube.errors import Details, NotAcceptable

Shape: TypeAlias = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"]

ACCEPTED = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
ACCEPTED_STREAMS = (
    "only the following media types are accepted: application/json;stream=watch, "
    "application/vnd.kubernetes.protobuf;stream=watch"
)
AVAILABLE = (
    "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
    "application/vnd.kubernetes.protobuf"
)
STREAMS = ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
_SHAPES: dict[str, Shape] = {
    "Table": "Table",
    "PartialObjectMetadata": "PartialObjectMetadata",
    "PartialObjectMetadataList": "PartialObjectMetadataList",
}


class Form(Struct, frozen=True):
    """How an answer is to be written."""

    yaml: bool = False
    shape: Shape = ""  # "": the object itself
    version: str = "v1"  # of meta.k8s.io, for the other shapes


PLAIN = Form()


class Clause(Struct, frozen=True):
    """One media range of an Accept header."""

    media: str
    quality: float
    params: dict[str, str]


def clauses(accept: str) -> list[Clause]:
    """Media ranges, the most wanted first."""
    out = []
    for part in accept.split(","):
        media, *rest = (p.strip() for p in part.split(";"))
        params = dict(p.partition("=")[::2] for p in rest)
        try:
            quality = float(params.pop("q", "1"))
        except ValueError:
            quality = 1.0
        if media:
            out.append(Clause(media.lower(), quality, params))
    return sorted(out, key=lambda c: -c.quality)


@lru_cache(maxsize=256)
def form_of(accept: str, verb: str) -> Form:
    """The first form asked for that can be served. Raises NotAcceptable."""
    if not accept:
        return PLAIN
    known = False
    for clause in clauses(accept):
        if clause.media not in ("application/json", "application/yaml", "*/*"):
            continue
        known = True
        form = _form(clause, verb)
        if form is not None:
            return form
    if known or "protobuf" in accept:
        raise NotAcceptable(ACCEPTED_STREAMS if verb == "watch" else ACCEPTED)
    available = AVAILABLE + STREAMS if verb in ("list", "watch") else AVAILABLE
    raise NotAcceptable(available, details=Details())


def _form(clause: Clause, verb: str) -> Form | None:
    yaml = clause.media == "application/yaml"
    shape = clause.params.get("as", "")
    if clause.params.get("stream", "watch") != "watch" or (yaml and verb == "watch"):
        return None
    if not shape:
        return Form(yaml)
    if shape not in _SHAPES or clause.params.get("g") != "meta.k8s.io":
        return None
    version = clause.params.get("v", "")
    return Form(yaml, _SHAPES[shape], version) if version in ("v1", "v1beta1") else None
