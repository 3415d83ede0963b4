"""Reads that no cache answers: a live list by selector, for what is looked at only when a decision needs it."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from kruise_rollouts.kube.errors import NotFound
from kruise_rollouts.kube.labels import Selector
from kruise_rollouts.kube.objects import Kind
from kruise_rollouts.kube.protocols import Api

from .paging import PAGE, page_decoder

T = TypeVar("T")


async def list_objects(
    api: Api, kind: Kind, ns: str, selector: Selector, of: type[T], *, cached: bool = False
) -> tuple[T, ...]:
    """Objects of `kind` in `ns` ("": all namespaces) that `selector` matches, as `of`; read live, in pages.

    `cached`: as the API server has them in memory, which may be old; in one answer. Without that an API server with an etcd before
    3.5.13, or before Kubernetes 1.31, reads all of the namespace from etcd to find a few.

    Raises ApiError, and msgspec.MsgspecError if one of them is no `of`.
    """
    read = page_decoder(of)
    params = {"labelSelector": str(selector), "limit": str(PAGE)}
    if cached:
        params["resourceVersion"] = "0"
    found: list[T] = []
    while True:
        page = read(await api.request("GET", kind.path(ns), params=params))
        found += page.items
        if not page.metadata.next_page:
            return tuple(found)
        params["continue"] = page.metadata.next_page


async def get_object(api: Api, kind: Kind, ns: str, name: str, of: type[T]) -> T | None:
    """The live object as `of`; None if there is none. Raises ApiError otherwise, and msgspec.MsgspecError."""
    try:
        answer = await api.request("GET", kind.path(ns, name))
    except NotFound:
        return None
    return msgspec.json.decode(answer, type=of)
