"""The pages of a list: their frame, and decoders for pages of one type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

T = TypeVar("T")

PAGE = 500  # objects in one answer to a list: bounds our memory and the server's


class ListMeta(Struct, frozen=True, rename={"next_page": "continue", "resource_version": "resourceVersion"}):
    resource_version: str = ""
    next_page: str = ""  # token for the page that follows; "": this is the last


class Page(Struct, Generic[T], frozen=True):
    """One page. Items carry neither apiVersion nor kind; the list has them."""

    metadata: ListMeta = ListMeta()
    items: tuple[T, ...] = ()


def page_decoder(of: type[T]) -> Callable[[bytes], Page[T]]:
    """Decodes a page of `of`. It raises msgspec.ValidationError if a single item is no `of`."""
    found = _decoders.get(of)
    if found is None:
        found = _decoders[of] = msgspec.json.Decoder(Page[of]).decode  # type: ignore[valid-type]
    return found


_decoders: dict[type, Callable[[bytes], Page[Any]]] = {}
raw_page = msgspec.json.Decoder(Page[Raw]).decode
