"""`kruise-rollout install` and `uninstall`: puts the objects into a cluster, takes them out, or prints them."""

from __future__ import annotations

import sys

import yaml
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError, Forbidden, Unauthorized, Unavailable
from kruise_rollouts.operator.install import GIVE_BACK_SECONDS, install, uninstall
from kruise_rollouts.operator.installation import (
    Installation,
    access_objects,
    all_objects,
    crd_objects,
    webhook_objects,
)
from kruise_rollouts.operator.webhook_configurations import Target
from kruise_rollouts.runtime.client import HttpApi
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.runtime.kubeconfig import KubeconfigError, connect

from .errors import refusal
from .leftovers import Leftover, leftovers, named, why_no_manager
from .output import warn


class Setup(Struct, frozen=True):
    """What the command line says."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = "kruise-rollout"
    webhook_url: str = ""  # not "": for a manager that runs outside of the cluster
    print_only: bool = False
    with_data: bool = False  # of uninstall: CRDs too, and with them every Rollout


def objects_of(setup: Setup) -> tuple[JsonObject, ...]:
    """What install applies, in order."""
    installation = Installation(Target(namespace=setup.namespace, url=setup.webhook_url.rstrip("/")))
    if not setup.webhook_url:
        return all_objects(installation)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": setup.namespace}}
    return (
        namespace,
        *crd_objects(installation),
        *access_objects(installation),
        *webhook_objects(installation),
    )


async def install_into(setup: Setup) -> None:
    """Applies everything, or prints it. Raises CommandError."""
    if setup.webhook_url and not setup.webhook_url.startswith("https://"):
        raise refusal(f"--webhook-url must begin with https://, not {setup.webhook_url!r}")
    objects = objects_of(setup)
    if setup.print_only:
        print(yaml.safe_dump_all(objects, sort_keys=False), end="")
        return
    async with _api(setup) as api:
        try:
            await install(api, WallClock(), objects)
        except ApiError as error:
            raise _explained(error, api) from None
    for obj in objects:
        print(f"{obj['kind'].lower()}/{obj['metadata']['name']} applied")
    if setup.webhook_url:
        print(
            "Now start the manager: kruise-rollout manager --kubeconfig ... (WEBHOOK_HOST and WEBHOOK_PORT as in the URL)"
        )


async def uninstall_from(setup: Setup) -> None:
    """Deletes what install applied. Raises CommandError."""
    async with _api(setup) as api:
        try:
            await (_with_data if setup.with_data else _without_data)(api, setup)
        except ApiError as error:
            raise _explained(error, api) from None


async def _without_data(api: HttpApi, setup: Setup) -> None:
    left = await _seen(api)
    await uninstall(api, WallClock(), Installation(Target(namespace=setup.namespace)))
    print("uninstalled; the CRDs and every Rollout are still there (--with-data deletes them too)")
    if busy := [one for one in left if one.is_busy]:
        warn(
            "these are in the middle of a release; their workloads stay as they are, paused, until a manager"
            f" runs again:\n{named(busy)}"
        )


async def _seen(api: HttpApi) -> tuple[Leftover, ...]:
    """What there is to warn of; that it cannot be read keeps nobody from uninstalling."""
    try:
        return await leftovers(api)
    except (Unauthorized, Unavailable):
        raise
    except ApiError as error:
        warn(f"Rollouts cannot be read, so those in the middle of a release are not named: {error.message}")
        return ()


async def _with_data(api: HttpApi, setup: Setup) -> None:
    """Refuses before anything is deleted if nobody is there to give workloads back; else waits for it, and says so."""
    try:
        kept = [one for one in await leftovers(api) if one.is_kept]
    except (Unauthorized, Forbidden, Unavailable):
        raise
    except ApiError as error:  # most likely they are stored in another version, and nobody converts them
        raise refusal(
            "nothing was deleted: Rollouts cannot be read, which needs a running manager. Start one and try again."
            f" The API server says: {error.message}"
        ) from None
    if kept and (why := await why_no_manager(api, kept[0])):
        raise refusal(
            f"nothing was deleted: these wait for a running manager to give their workloads back, and none"
            f" answers:\n{named(kept)}\nStart a manager and try again. The API server says: {why}"
        )
    if kept:
        told = f"Waiting for the manager to give back, {GIVE_BACK_SECONDS:g} s at most:\n{named(kept)}"
        print(told, file=sys.stderr, flush=True)
    try:
        await uninstall(api, WallClock(), Installation(Target(namespace=setup.namespace)), with_data=True)
    except ApiError as error:
        still = [one for one in await leftovers(api) if one.is_kept]
        if not still:
            raise
        raise refusal(f"{error.message}\nstill there:\n{named(still)}") from None
    print("uninstalled")


def _api(setup: Setup) -> HttpApi:
    try:
        return HttpApi(connect(setup.kubeconfig, setup.context))
    except KubeconfigError as error:
        raise refusal(str(error)) from None


def _explained(error: ApiError, api: HttpApi) -> Exception:
    connection = api.connection
    match error:
        case Unauthorized():
            return refusal(
                f"{connection.server} does not accept the credentials of {connection.source}: {error.message}. Log in again, or choose another --context"
            )
        case Forbidden():
            return refusal(f"{error.message}. Installing needs the rights of a cluster administrator")
        case Unavailable():
            return refusal(f"{connection.server} does not answer: {error.message}")
        case _:
            return refusal(error.message)
