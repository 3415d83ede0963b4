"""`kruise-rollout manager`: the controller as a process, against a real API server or a sandbox."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import uuid
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from kruise_rollouts.kube.errors import ApiError, NotFound, Unauthorized, Unavailable
from kruise_rollouts.kube.objects import NAMESPACE, ROLLOUT
from kruise_rollouts.operator.assembly import Assembly
from kruise_rollouts.operator.install import NotInstalled, webhook_url
from kruise_rollouts.operator.levels import show_levels
from kruise_rollouts.operator.options import LEASE_NAME, Options, WebhookOptions
from kruise_rollouts.operator.trust import Trust
from kruise_rollouts.operator.webhook_configurations import Target, target_of
from kruise_rollouts.runtime.certs import Bundle
from kruise_rollouts.runtime.certstore import CertKeeper, FolderStore, SecretStore
from kruise_rollouts.runtime.client import HttpApi
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.runtime.health import HttpServer, health_app, metrics_app
from kruise_rollouts.runtime.kubeconfig import KubeconfigError, connect
from kruise_rollouts.runtime.leader import Elector, LeaseLost
from kruise_rollouts.runtime.manager import StartFailed
from kruise_rollouts.runtime.telemetry import Metrics, log_to
from kruise_rollouts.runtime.webhook import WebhookApp, WebhookServer

from .errors import refusal

VERBOSE = 5  # --v from which on debug lines are written, as in Kubernetes' own programs


class Serving(Struct, frozen=True):
    """What the command line says."""

    options: Options
    kubeconfig: str = ""
    context: str = ""
    verbosity: int = 0
    log_format: str = "text"


async def serve(flags: Serving) -> None:
    """Works until SIGTERM. Raises CommandError with what to do when it cannot."""
    level = logging.DEBUG if flags.verbosity >= VERBOSE else logging.INFO
    log_to(sys.stderr, style="json" if flags.log_format == "json" else "text", level=level)
    try:
        connection = connect(flags.kubeconfig, flags.context)
    except KubeconfigError as error:
        raise refusal(str(error)) from None
    try:
        metrics = Metrics()
        async with HttpApi(connection, on_answer=metrics.requested) as api:
            await _installed(api)
            await _reached(api, flags.options)
            await _serve(api, flags.options, metrics)
    except Unauthorized as error:
        raise refusal(
            f"{connection.server} does not accept the credentials of {connection.source}: {error.message}. "
            "They may have expired: log in again, or choose another --context"
        ) from None
    except Unavailable as error:
        raise refusal(
            f"{connection.server} does not answer: {error.message}. Check the server and --kubeconfig"
        ) from None
    except ApiError as error:
        raise refusal(f"{connection.server} refused: {error.message}") from None
    except NotInstalled as error:
        raise refusal(str(error)) from None
    except (StartFailed, LeaseLost) as error:
        raise refusal(str(error)) from None
    except OSError as error:
        raise refusal(_trouble(error, flags.options)) from None


def _trouble(error: OSError, options: Options) -> str:
    """What to do about a socket or a file that cannot be had."""
    if error.errno != errno.EADDRINUSE:
        return str(error)
    return (
        "a port is in use by another program, perhaps another manager: the webhooks want "
        f"{options.webhook.port} (WEBHOOK_PORT), metrics {options.metrics_address} (--metrics-bind-address), health "
        f"{options.health_address} (--health-probe-bind-address; 0 switches it off)"
    )


async def _installed(api: HttpApi) -> None:
    """Raises NotInstalled if the CRDs are not there, and what the API server says to a first request."""
    try:
        await api.request("GET", ROLLOUT.path(), params={"limit": "1"})
    except NotFound:
        raise NotInstalled(
            "the rollouts.kruise.io CRDs are not installed: run `kruise-rollout install` first"
        ) from None
    except ApiError as error:
        if error.code != 500:  # the stored objects may need our own conversion webhook to be read
            raise


async def _reached(api: HttpApi, options: Options) -> None:
    """Raises NotInstalled if this process, in no pod, would turn the API server away from where it is reached."""
    if options.webhook.host or "KUBERNETES_SERVICE_HOST" in os.environ:
        return
    url = await webhook_url(api)
    if not url:
        return
    where = urlsplit(url)
    raise NotInstalled(
        f"webhooks are called at {url}, and this manager would have them called through the Service "
        f"{options.namespace}/{options.webhook.service}, which leads to pods only: start it with "
        f"WEBHOOK_HOST={where.hostname} WEBHOOK_PORT={where.port or 443}, or, for a manager in the cluster, run "
        "`kruise-rollout install` without --webhook-url"
    )


async def _serve(api: HttpApi, options: Options, metrics: Metrics) -> None:
    clock = WallClock()
    keeper, trust = await _certificates(api, options, clock)
    identity = f"{socket.gethostname()}_{uuid.uuid4()}"
    elector = None
    if options.leader_elect:
        elector = Elector(api, clock, ns=options.namespace, name=LEASE_NAME, identity=identity)

    def server_of(app: WebhookApp) -> WebhookServer:
        return WebhookServer(app, keeper.tls, host=options.webhook.bind, port=options.webhook.port)

    assembly = Assembly(
        api,
        clock,
        options,
        elector=elector,
        server_of=server_of,
        meter=metrics,
        on_review=metrics.reviewed,
        on_event_dropped=metrics.event_dropped,
        instance=identity,
        tasks=(keeper.run, *(source.run for source in trust.sources)),
    )
    show_levels(metrics, assembly)
    metrics.level(
        "not_installed",
        "1 while webhooks or CRDs are missing: nothing is held at once.",
        lambda: bool(trust.missing),
    )
    faces = (
        HttpServer(health_app(assembly.manager.checks), options.health_address),
        HttpServer(metrics_app(metrics.show), options.metrics_address),
    )
    assembly.manager.stop_on_signals()
    try:
        for face in faces:
            await face.start()
        await assembly.manager.run()
    finally:
        for face in faces:
            await face.stop()


async def _certificates(api: HttpApi, options: Options, clock: WallClock) -> tuple[CertKeeper, Trust]:
    """Served certificates are good, and the API server trusts them as far as it knows us, when this returns."""
    webhook = options.webhook
    folder = Path(webhook.cert_dir)

    def target(bundle: Bundle) -> Target:
        return target_of(options.namespace, webhook, bundle.ca_cert)

    in_files = webhook.cert_writer == "fs" or (not webhook.cert_writer and bool(webhook.host))
    if not in_files:
        await _namespace(api, options.namespace)
    store = FolderStore(folder) if in_files else SecretStore(api, options.namespace, webhook.secret)
    secret = ("", "") if in_files else (options.namespace, webhook.secret)
    trust = Trust(api, clock, target, secret=secret)
    keeper = CertKeeper(
        store, clock, names=_names(options.namespace, webhook), folder=folder, on_bundle=trust.publish
    )
    trust.subscribe(keeper.look_again)
    await keeper.ensure()
    return keeper, trust


async def _namespace(api: HttpApi, name: str) -> None:
    try:
        await api.request("GET", NAMESPACE.path("", name))
    except NotFound:
        raise NotInstalled(f"the namespace {name} is not there: run `kruise-rollout install` first") from None


def _names(namespace: str, webhook: WebhookOptions) -> tuple[str, ...]:
    """What the certificate is for; the first is its subject."""
    subject = webhook.host or f"{webhook.service}.{namespace}.svc"
    return (subject, "localhost") if subject != "localhost" else (subject,)


def namespace_of(environ: dict[str, str]) -> str:
    """Where our Secret, Lease and Service live."""
    return environ.get("POD_NAMESPACE") or Options().namespace
