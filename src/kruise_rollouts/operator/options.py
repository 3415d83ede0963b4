"""What the manager is told: the reference's flags, feature gates and environment, with the same names and defaults."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from kruise_rollouts.core.snapshot import Gates

GATES = ("RolloutHistory", "AdvancedDeployment", "AppendPodSelector", "KeepWorkloadPausedOnRolloutDeletion")
SHORTHANDS = ("AllAlpha", "AllBeta")
DEFAULT_NAMESPACE = "kruise-rollout"
LEASE_NAME = "71ddec2c.kruise.io"


class OptionError(Exception):
    """A flag or a variable that cannot be meant; the message says what is accepted."""


class Workers(Struct, frozen=True):
    """Keys of one controller worked on at a time."""

    rollout: int = 3
    batch_release: int = 3
    deployment: int = 3


class WebhookOptions(Struct, frozen=True):
    """How the API server reaches us, and where certificates are kept."""

    host: str = ""  # not "": reached by https://host:port instead of through the Service
    port: int = 9876
    bind: str = "0.0.0.0"
    cert_dir: str = "/tmp/kruise-rollout-webhook-certs"
    cert_writer: str = ""  # "fs": files only; "": the Secret, unless host is set
    secret: str = "kruise-rollout-webhook-certs"
    service: str = "kruise-rollout-webhook-service"


class Options(Struct, frozen=True):
    """All of it."""

    metrics_address: str = ":8080"  # "0": none
    health_address: str = ":8081"
    leader_elect: bool = False
    gates: Gates = Gates()
    advanced_deployment: bool = True  # accepted for compatibility; the engine is always there
    partition_percent_limit: int = 50  # percent of replicas up to which a partition step may carry traffic
    filter_workload_type: bool = True
    namespace: str = DEFAULT_NAMESPACE
    workers: Workers = Workers()
    webhook: WebhookOptions = WebhookOptions()


def parse_gates(text: str) -> Gates:
    """Gates of `--feature-gates=A=true,B=false`. Raises OptionError for an unknown gate or value."""
    given: dict[str, bool] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        if name not in GATES and name not in SHORTHANDS:
            raise OptionError(
                f"--feature-gates: there is no gate {name!r}; there are {', '.join(GATES + SHORTHANDS)}"
            )
        if value.lower() not in ("true", "false"):
            raise OptionError(f"--feature-gates: {name} must be true or false, not {value!r}")
        given[name] = value.lower() == "true"
    all_of_them = given.get("AllAlpha", False)
    return Gates(
        rollout_history=given.get("RolloutHistory", all_of_them),
        keep_workload_paused_on_rollout_deletion=given.get(
            "KeepWorkloadPausedOnRolloutDeletion", all_of_them
        ),
    )


def webhook_options(environ: Mapping[str, str]) -> WebhookOptions:
    """The WEBHOOK_* variables, SECRET_NAME and SERVICE_NAME. Raises OptionError."""
    port = environ.get("WEBHOOK_PORT", "9876")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise OptionError(f"WEBHOOK_PORT must be a port number, not {port!r}")
    defaults = WebhookOptions()
    return WebhookOptions(
        host=environ.get("WEBHOOK_HOST", ""),
        port=int(port),
        cert_dir=environ.get("WEBHOOK_CERT_DIR") or defaults.cert_dir,
        cert_writer=environ.get("WEBHOOK_CERT_WRITER", ""),
        secret=environ.get("SECRET_NAME") or defaults.secret,
        service=environ.get("SERVICE_NAME") or defaults.service,
    )


def address(text: str, flag: str) -> tuple[str, int] | None:
    """Host and port of "host:port" or ":port" (all interfaces); None for "0" or "". Raises OptionError."""
    if text in ("", "0"):
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise OptionError(f"{flag} must be host:port, :port, or 0 for none, not {text!r}")
    return host.strip("[]") or "0.0.0.0", int(port)
