"""Which URL a kind has: the built-in table first, then the server's own discovery documents."""

from __future__ import annotations

from msgspec import Struct, json

from kruise_rollouts.kube.effects import Ref
from kruise_rollouts.kube.errors import NotFound
from kruise_rollouts.kube.objects import KINDS, Kind
from kruise_rollouts.kube.protocols import Api


class _Resource(Struct, frozen=True):
    name: str
    kind: str
    namespaced: bool = True


class _Resources(Struct, frozen=True):
    resources: tuple[_Resource, ...] = ()


_decode = json.Decoder(_Resources).decode


class Discovery:
    """Kinds by apiVersion and kind. What the server said is remembered; what it did not know is asked again."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known = {(k.api_version, k.kind): k for k in KINDS.values()}

    async def kind_of(self, ref: Ref) -> Kind:
        """The Kind of `ref`. NotFound if the server does not serve it; ApiError if it cannot say."""
        found = self._known.get((ref.api_version, ref.kind))
        if found is None:
            await self._learn(ref.api_version)
            found = self._known.get((ref.api_version, ref.kind))
        if found is None:
            raise NotFound(f"the server does not serve {ref.kind} of {ref.api_version}")
        return found

    async def _learn(self, api_version: str) -> None:
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            answer = await self._api.request("GET", path)
        except NotFound:  # no such group or version
            return
        for entry in _decode(answer).resources:
            if "/" not in entry.name:  # not a subresource
                self._known[(api_version, entry.kind)] = Kind(
                    api_version, entry.kind, entry.name, entry.namespaced
                )
