"""One manager process, put together from an API server, a clock and options. Nothing is decided here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from kruise_rollouts.api.keys import FIELD_MANAGER
from kruise_rollouts.core.validation import Limits
from kruise_rollouts.kube.protocols import Api, Clock
from kruise_rollouts.runtime.apply import Applier
from kruise_rollouts.runtime.events import Recorder
from kruise_rollouts.runtime.leader import Elector, FencedApi
from kruise_rollouts.runtime.loop import Meter
from kruise_rollouts.runtime.manager import Manager, StartFailed
from kruise_rollouts.runtime.webhook import WebhookApp, WebhookServer

from .controllers import Controllers, Informers, history_of, world_of
from .options import Options
from .webhooks import add_webhooks

COMPONENT = "kruise-rollout"  # who tells the Events


class Assembly:
    """The parts. `manager.run()` works until `manager.stop()`."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        options: Options,
        *,
        elector: Elector | None = None,
        server_of: Callable[[WebhookApp], WebhookServer] | None = None,
        meter: Meter | None = None,
        on_review: Callable[[str, int, float], None] = lambda path, status, seconds: None,
        on_event_dropped: Callable[[], None] = lambda: None,
        instance: str = "",
        tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        """`elector` None: it is the only one. `server_of` None: reviews come from within this process."""
        self.informers = Informers(api, clock)
        self.world = world_of(self.informers, api)
        self.recorder = Recorder(
            api,
            clock,
            component=COMPONENT,
            instance=instance,
            uid_of=self.informers.uid_of,
            on_drop=on_event_dropped,
        )
        self._restored = asyncio.Event()
        for informer in self.informers.all:
            informer.on_restored = self._restored.set
        applier = Applier(
            FencedApi(api, elector) if elector is not None else api,
            self.informers.caches,
            field_manager=FIELD_MANAGER,
            may_write=lambda: (elector is None or elector.leading) and not self._restored.is_set(),
        )
        self.controllers = Controllers(
            self.world,
            self.informers,
            options,
            apply=applier,
            tell=self.recorder.tell,
            clock=clock,
            meter=meter,
            history=history_of(api) if options.gates.rollout_history else None,
        )
        self.app = WebhookApp(clock, on_review=on_review)
        listed = self.informers.replica_sets.synced.is_set
        add_webhooks(self.app, self.world, api, _limits(options), listed=listed)
        self.manager = Manager(
            clock,
            sources=self.informers.all,
            workers=self.controllers.all,
            recorder=self.recorder,
            elector=elector,
            webhooks=(self.app, server_of(self.app) if server_of is not None else None),
            tasks=(*tasks, self._end_if_restored),
            admits_after=(self.informers.rollouts,),
        )

    async def _end_if_restored(self) -> None:
        """Caches of before and after a restore, side by side, would have approvals acted on that are lost."""
        await self._restored.wait()
        raise StartFailed(
            "the storage of the API server was restored from an earlier state: all is to be read anew"
        )


def _limits(options: Options) -> Limits:
    return Limits(options.partition_percent_limit, options.filter_workload_type)
