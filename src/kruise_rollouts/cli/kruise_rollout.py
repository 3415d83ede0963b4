"""kruise-rollout: the manager, installing it, and the sandbox. Parsing only."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from kruise_rollouts import __version__

from .ending import ended
from .errors import CommandError, refusal
from .layout import HelpLayout
from .loops import run

DEMO_RATE = 20.0
# Accepted so that existing manifests and charts start; they have nothing to set here.
INERT = (
    "grace-timeout",
    "expectation-timeout",
    "trafficrouting-workers",
    "rollouthistory-workers",
    "nativedaemonset-workers",
)


class Parser(argparse.ArgumentParser):
    """Fails with one line and exit status 1."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=HelpLayout, **settings)

    def error(self, message: str):  # type: ignore[no-untyped-def]
        raise CommandError(f"error: {message}\nSee '{self.prog} -h'")


def main(arguments: Sequence[str]) -> int:
    """Runs one command; the exit status."""
    return ended(_run, arguments)


def _run(arguments: Sequence[str]) -> None:
    flags = parser().parse_args(arguments)
    flags.run(flags)


def parser() -> Parser:
    """The command tree."""
    root = Parser(
        prog="kruise-rollout",
        description="Progressive delivery for Kubernetes.",
        epilog="Begin with: kruise-rollout demo",
    )
    root.add_argument("--version", action="version", version=f"kruise-rollout {__version__}")
    root.set_defaults(run=lambda _: root.print_help())
    commands = root.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    demo = commands.add_parser("demo", help="play a release in a sandbox, in front of you")
    demo.add_argument(
        "--rate",
        type=float,
        default=DEMO_RATE,
        metavar="N",
        help=f"how many times faster than the wall (default {DEMO_RATE:g})",
    )
    demo.set_defaults(run=_demo)
    _sandbox(commands.add_parser("sandbox", help="a Kubernetes in one process, with the controller in it"))
    _manager(commands.add_parser("manager", help="the controller, against a cluster"))
    _install(commands.add_parser("install", help="put CRDs, rights and webhooks into a cluster"))
    uninstall = commands.add_parser("uninstall", help="take them out again")
    _cluster(uninstall)
    uninstall.add_argument(
        "--with-data", action="store_true", help="delete the CRDs too, and with them every Rollout"
    )
    uninstall.set_defaults(run=_run_uninstall)
    return root


def _sandbox(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--rate",
        type=float,
        default=1.0,
        metavar="N",
        help="how many times faster than the wall its clock runs",
    )
    command.add_argument("--nodes", type=int, default=3, metavar="N", help="simulated nodes (default 3)")
    command.add_argument(
        "--port", type=int, default=0, metavar="N", help="where to listen (default: any free one)"
    )
    command.add_argument("--data", default="", metavar="DIR", help="keep the cluster there across restarts")
    command.add_argument(
        "--rbac", action="store_true", help="enforce roles; without, whoever has a token may do everything"
    )
    command.add_argument(
        "--no-controller", action="store_true", help="only the cluster, without our controller"
    )
    command.set_defaults(run=_run_sandbox)


def _cluster(command: argparse.ArgumentParser) -> None:
    _kubeconfig(command)
    namespace = os.environ.get("POD_NAMESPACE") or "kruise-rollout"
    command.add_argument(
        "-n", "--namespace", default=namespace, metavar="NAME", help=f"of the manager (default {namespace})"
    )


def _kubeconfig(command: argparse.ArgumentParser) -> None:
    where = "the cluster (default: KUBECONFIG, the pod we run in, or ~/.kube/config)"
    command.add_argument("--kubeconfig", default="", metavar="FILE", help=where)
    command.add_argument(
        "--context", default="", metavar="NAME", help="of the kubeconfig (default: the current one)"
    )


def _install(command: argparse.ArgumentParser) -> None:
    _cluster(command)
    command.add_argument(
        "--webhook-url", default="", metavar="https://HOST:PORT", help="for a manager outside of the cluster"
    )
    command.add_argument(
        "--print", action="store_true", dest="print_only", help="print the objects as YAML instead"
    )
    command.set_defaults(run=_run_install)


def _manager(command: argparse.ArgumentParser) -> None:
    _kubeconfig(command)
    flag = command.add_argument
    flag(
        "--metrics-bind-address",
        default=":8080",
        metavar="HOST:PORT",
        help="metrics (default :8080; 0: none)",
    )
    flag(
        "--health-probe-bind-address",
        default=":8081",
        metavar="HOST:PORT",
        help="/healthz and /readyz (default :8081; 0: none)",
    )
    flag(
        "--leader-elect",
        nargs="?",
        const="true",
        default="false",
        choices=("true", "false"),
        metavar="BOOL",
        help="work only while holding the lease, for several replicas",
    )
    flag("--feature-gates", default="", metavar="A=true,B=false", help="e.g. RolloutHistory=true")
    flag(
        "--partition-percent-limit",
        type=int,
        default=50,
        metavar="N",
        help="a step with traffic may move at most so many percent of the pods (default 50)",
    )
    flag(
        "--filter-workload-type",
        nargs="?",
        const="true",
        default="true",
        choices=("true", "false"),
        metavar="BOOL",
        help="refuse Rollouts of kinds that are not supported (default true)",
    )
    _manager_tuning(command)
    command.set_defaults(run=_run_manager)


def _manager_tuning(command: argparse.ArgumentParser) -> None:
    flag = command.add_argument
    for name in ("rollout", "batchrelease", "deployment"):
        flag(
            f"--{name}-workers",
            type=int,
            default=3,
            metavar="N",
            help="worked on at the same time (default 3)",
        )
    flag("-v", "--v", type=int, default=0, dest="verbosity", metavar="N", help="5 and more: debug")
    flag("--log-format", choices=("text", "json"), default="text", help="default text")
    for name in INERT:
        command.add_argument(f"--{name}", default=None, help=argparse.SUPPRESS)
    command.add_argument("--disable-no-deepcopy", nargs="?", default=None, help=argparse.SUPPRESS)


def _demo(flags: argparse.Namespace) -> None:
    from .demo import run_demo

    run(run_demo(_rate(flags)))


def _run_sandbox(flags: argparse.Namespace) -> None:
    from .lab import LabFlags, run_sandbox

    given = LabFlags(
        rate=_rate(flags),
        nodes=flags.nodes,
        port=flags.port,
        data=flags.data,
        rbac=flags.rbac,
        controller=not flags.no_controller,
    )
    run(run_sandbox(given))


def _rate(flags: argparse.Namespace) -> float:
    if flags.rate <= 0:
        raise refusal(f"--rate must be above 0, not {flags.rate:g}")
    return float(flags.rate)


def _run_manager(flags: argparse.Namespace) -> None:
    from kruise_rollouts.operator.options import (
        OptionError,
        Options,
        Workers,
        address,
        parse_gates,
        webhook_options,
    )

    from .serve import Serving, namespace_of, serve

    try:
        for flag in ("metrics-bind-address", "health-probe-bind-address"):
            address(getattr(flags, flag.replace("-", "_")), f"--{flag}")
        options = Options(
            metrics_address=flags.metrics_bind_address,
            health_address=flags.health_probe_bind_address,
            leader_elect=flags.leader_elect == "true",
            gates=parse_gates(flags.feature_gates),
            partition_percent_limit=flags.partition_percent_limit,
            filter_workload_type=flags.filter_workload_type == "true",
            namespace=namespace_of(dict(os.environ)),
            workers=Workers(flags.rollout_workers, flags.batchrelease_workers, flags.deployment_workers),
            webhook=webhook_options(os.environ),
        )
    except OptionError as error:
        raise refusal(str(error)) from None
    run(serve(Serving(options, flags.kubeconfig, flags.context, flags.verbosity, flags.log_format)))


def _run_install(flags: argparse.Namespace) -> None:
    from .setup import Setup, install_into

    given = Setup(flags.kubeconfig, flags.context, flags.namespace, flags.webhook_url, flags.print_only)
    run(install_into(given))


def _run_uninstall(flags: argparse.Namespace) -> None:
    from .setup import Setup, uninstall_from

    given = Setup(flags.kubeconfig, flags.context, flags.namespace, with_data=flags.with_data)
    run(uninstall_from(given))
