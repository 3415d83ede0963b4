"""How the API server reaches and trusts our webhooks, kept right while we run.

What holds it (webhook configurations, CRDs, the Secret with the certificates) is watched: whoever replaces or deletes
one of these, it is put right in a moment. What is not there is not made: that is `kruise-rollout install`'s matter,
and creating webhooks is more than a manager should be allowed to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from kruise_rollouts.kube.objects import CRD, MUTATING_WEBHOOKS, SECRET, VALIDATING_WEBHOOKS, Kind
from kruise_rollouts.kube.protocols import Api, Clock
from kruise_rollouts.runtime.certs import Bundle
from kruise_rollouts.runtime.informer import Informer
from kruise_rollouts.runtime.log import log_of

from .install import CONVERTED, NotInstalled, ensure
from .webhook_configurations import MUTATING, VALIDATING, Target

log = log_of(__name__)


class _Meta(Struct, frozen=True, rename="camel", gc=False):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class _Watched(Struct, frozen=True, gc=False):
    """An object of which only matters that it changed."""

    metadata: _Meta = _Meta()


class Trust:
    """`publish` is for CertKeeper; `sources` run as tasks once somebody has subscribed."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        target: Callable[[Bundle], Target],
        *,
        secret: tuple[str, str] = ("", ""),
    ) -> None:
        """`target`: how the API server reaches who serves a Bundle. `secret`: namespace and name; ("", ""): none."""
        self.missing = ""  # why nothing is held at once; "": all is there
        self._api = api
        self._clock = clock
        self._target = target
        places = [("", MUTATING_WEBHOOKS, MUTATING), ("", VALIDATING_WEBHOOKS, VALIDATING)]
        places += [("", CRD, name) for name in CONVERTED]
        if secret[1]:
            places.append((secret[0], SECRET, secret[1]))
        self.sources = tuple(self._watch(*place) for place in places)

    def _watch(self, ns: str, kind: Kind, name: str) -> Informer[_Watched]:
        only = {"fieldSelector": f"metadata.name={name}"}
        return Informer(self._api, kind, _Watched, clock=self._clock, ns=ns, selector=only)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Calls `changed` whenever one of the objects is not as it was, the first look aside."""

        def hear(source: Informer[_Watched]) -> None:
            def told(old: Any, new: Any) -> None:
                if source.synced.is_set():
                    changed()

            source.subscribe(told)

        for source in self.sources:
            hear(source)

    async def publish(self, bundle: Bundle) -> None:
        """Makes the API server trust `bundle`, wherever that is kept. Raises ApiError."""
        try:
            await ensure(self._api, self._target(bundle))
        except NotInstalled as error:
            if str(error) != self.missing:
                log.error("new versions are held late, after their first pods", why=str(error))
            self.missing = str(error)
        else:
            if self.missing:
                log.info("webhooks and CRDs are back")
            self.missing = ""
