"""kubectl-kruise: the plugin that kubectl finds on PATH as `kubectl kruise`. Parsing only; the work is in act and read."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from kruise_rollouts.kube.errors import ApiError

from . import act, read
from .errors import CommandError, refusal, server_error
from .output import Printer
from .resources import Discovery, Named, from_files, from_kustomization, select
from .session import Session, SessionFlags

Run = Callable[[argparse.Namespace], None]


class Parser(argparse.ArgumentParser):
    """Fails as kubectl does: one line, exit status 1."""

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"invalid choice: '([^']*)'", message)
        if unknown:
            raise CommandError(
                f"error: unknown command \"{unknown[1]}\"\nSee '{self.prog} -h' for help and examples"
            )
        raise CommandError(f"Error: {message}\nSee '{self.prog} -h' for help and examples")


def main(arguments: Sequence[str]) -> int:
    """Runs one command; the exit status."""
    try:
        flags = parser().parse_args(arguments)
        flags.run(flags)
    except CommandError as error:
        if error.message:
            print(error.message, file=sys.stderr)
        return error.code
    except ApiError as error:
        print(server_error(error), file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> Parser:
    """The command tree."""
    shared = _cluster_flags()
    root = Parser(
        prog="kubectl kruise", description="Approve, watch and undo progressive releases.", allow_abbrev=False
    )
    root.set_defaults(run=_helper(root, 0))
    commands = root.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    rollout = commands.add_parser("rollout", help="act on a Rollout or a workload", parents=[shared])
    rollout.set_defaults(run=_helper(rollout, 1))
    verbs = rollout.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    _acting(verbs, shared)
    _reading(verbs, shared)
    describe = commands.add_parser("describe", help="report on a Rollout", parents=[shared])
    describe.set_defaults(run=_helper(describe, 1))
    nouns = describe.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    report = nouns.add_parser(
        "rollout", aliases=["rollouts", "ro"], help="steps, revisions and pods of a Rollout", parents=[shared]
    )
    report.add_argument("name", nargs="*", metavar="NAME")
    report.add_argument("-w", "--watch", action="store_true", help="draw again on each change")
    report.add_argument(
        "--timeout", type=int, default=0, metavar="SECONDS", help="give up watching after this long"
    )
    report.add_argument("--no-color", action="store_true")
    report.add_argument(
        "--all",
        action="store_true",
        dest="every_pod",
        help="all new pods, not those of the current batch only",
    )
    report.set_defaults(run=_describe)
    return root


def _helper(parser: Parser, code: int) -> Run:
    def run(_: argparse.Namespace) -> None:
        parser.print_help()
        raise CommandError("", code)

    return run


def _acting(verbs: argparse._SubParsersAction[Parser], shared: Parser) -> None:
    for name, aliases, what in (
        ("approve", ["promote"], "let a paused Rollout go on with its next step"),
        ("pause", [], "hold a Rollout or a workload where it is"),
        ("resume", [], "let a paused Rollout or workload go on"),
        ("restart", [], "replace all pods"),
    ):
        verb = verbs.add_parser(name, aliases=aliases, help=what, parents=[shared])
        _resource_flags(verb)
        _print_flags(verb)
        verb.set_defaults(run=_each(getattr(act, name)))
    undo = verbs.add_parser("undo", help="put an earlier revision back", parents=[shared])
    _resource_flags(undo)
    _print_flags(undo)
    undo.add_argument("--to-revision", type=int, default=0, help="0 is the previous one")
    undo.add_argument("--fast", action="store_true", help="jump back to the last step without traffic")
    undo.set_defaults(run=_undo)


def _reading(verbs: argparse._SubParsersAction[Parser], shared: Parser) -> None:
    status = verbs.add_parser("status", help="follow a release until it is over", parents=[shared])
    _resource_flags(status)
    status.add_argument("-w", "--watch", nargs="?", const="true", default="true", choices=("true", "false"))
    status.add_argument("--timeout", default="0s", metavar="DURATION", help="e.g. 30s, 5m; 0s waits for ever")
    status.add_argument("--revision", type=int, default=0)
    status.add_argument("-d", "--detail", action="store_true")
    status.add_argument(
        "--exit-on-pause", action="store_true", help="exit with status 3 when a step waits for approval"
    )
    status.set_defaults(run=_status)
    history = verbs.add_parser("history", help="revisions of a workload", parents=[shared])
    _resource_flags(history)
    history.add_argument("--revision", type=int, default=0, help="show this one whole")
    history.set_defaults(run=_history)


def _cluster_flags() -> Parser:
    shared = Parser(add_help=False, allow_abbrev=False)
    group = shared.add_argument_group("cluster")
    for flag in (
        "kubeconfig", "context", "cluster", "user", "server", "token", "as", "as-uid", "certificate-authority",
        "client-certificate", "client-key", "tls-server-name", "request-timeout", "cache-dir", "username", "password",
    ):  # fmt: skip
        short = ["-s"] if flag == "server" else []
        group.add_argument(
            *short, f"--{flag}", default=argparse.SUPPRESS, dest=flag.replace("-", "_") + "_flag"
        )
    group.add_argument("-n", "--namespace", default=argparse.SUPPRESS)
    group.add_argument("--as-group", action="append", default=argparse.SUPPRESS)
    group.add_argument("--insecure-skip-tls-verify", action="store_true", default=argparse.SUPPRESS)
    for ignored in ("disable-compression", "match-server-version", "warnings-as-errors"):
        group.add_argument(
            f"--{ignored}", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    return shared


def _resource_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("resources", nargs="*", metavar="TYPE/NAME")
    verb.add_argument("-f", "--filename", action="append", default=[])
    verb.add_argument("-k", "--kustomize", default="")
    verb.add_argument("-R", "--recursive", action="store_true")


def _print_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("-o", "--output", default="")
    verb.add_argument("--show-managed-fields", action="store_true")
    verb.add_argument(
        "--dry-run", nargs="?", const="client", default="none", choices=("none", "client", "server")
    )


def session_of(flags: argparse.Namespace) -> Session:
    """The cluster that the flags, KUBECONFIG or the usual file name."""
    given = vars(flags)
    return Session(
        SessionFlags(
            namespace=given.get("namespace", ""),
            as_groups=tuple(given.get("as_group", ())),
            insecure=given.get("insecure_skip_tls_verify", False),
            values={k.removesuffix("_flag"): v for k, v in given.items() if k.endswith("_flag")},
        )
    )


def _named(flags: argparse.Namespace, session: Session, discovery: Discovery) -> list[Named]:
    if flags.filename and flags.kustomize:
        raise refusal("only one of -f or -k can be specified")
    if flags.kustomize and flags.recursive:
        raise refusal("the -k flag can't be used with -f or -R")
    if flags.filename:
        return from_files(flags.filename, flags.recursive, discovery, session)
    if flags.kustomize:
        return from_kustomization(flags.kustomize, discovery, session)
    return select(flags.resources, discovery, session)


def _work(flags: argparse.Namespace) -> tuple[act.Work, list[Named]]:
    session = session_of(flags)
    discovery = Discovery(session)
    printer = Printer(flags.output, flags.dry_run, flags.show_managed_fields)
    return act.Work(session, discovery, printer, flags.dry_run), _named(flags, session, discovery)


def _each(act_on: act.Act) -> Run:
    def run(flags: argparse.Namespace) -> None:
        work, named = _work(flags)
        act.each(work, named, act_on)

    return run


def _undo(flags: argparse.Namespace) -> None:
    work, named = _work(flags)
    if flags.fast:
        act.each(work, named, act.undo_fast)
    else:
        act.undo_all(work, named, flags.to_revision)


def _status(flags: argparse.Namespace) -> None:
    session = session_of(flags)
    read.status(
        session,
        _named(flags, session, Discovery(session)),
        watch=flags.watch == "true",
        timeout=seconds(flags.timeout),
        revision=flags.revision,
        exit_on_pause=flags.exit_on_pause,
    )


def _history(flags: argparse.Namespace) -> None:
    session = session_of(flags)
    discovery = Discovery(session)
    for one in _named(flags, session, discovery):
        read.history(session, discovery, one, flags.revision)


def _describe(flags: argparse.Namespace) -> None:
    if not flags.name:
        raise refusal("required rollout name not specified")
    session = session_of(flags)
    discovery = Discovery(session)
    name = flags.name[0]
    words = [name] if "/" in name else ["rollouts.rollouts.kruise.io", name]
    colour = not flags.no_color and not os.environ.get("NO_COLOR") and sys.stdout.isatty()
    one = select(words, discovery, session)[0]
    read.describe(
        session,
        discovery,
        one,
        watch=flags.watch,
        timeout=flags.timeout,
        colour=colour,
        every_pod=flags.every_pod,
    )


_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """Seconds of a duration such as "90s", "1m30s" or "0". Raises CommandError for anything else."""
    if text.strip() == "0":
        return 0.0
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise refusal(f'invalid duration "{text}": write a number and a unit, e.g. 30s, 5m, 1h')
    return sum(float(n) * _UNIT_SECONDS[u] for n, u in parts)
