"""The command tree of kubectl-kruise: which words and flags there are, and what a mistake in them is answered with.

Nothing is done here; kubectl_kruise.py runs what `parse` found. Flags are spelled as kubectl spells them: booleans
take `=true` and `=false`, and names may stand before, between and after flags.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from kruise_rollouts import __version__

from .errors import CommandError
from .layout import HelpLayout

PROGRAM = "kubectl kruise"
BOOLEANS = (
    "--watch", "--fast", "--detail", "--exit-on-pause", "--recursive", "--show-managed-fields", "--no-color", "--all",
    "--all-namespaces", "--insecure-skip-tls-verify", "--disable-compression", "--match-server-version",
    "--warnings-as-errors", "--allow-missing-template-keys",
)  # fmt: skip
VALUES = (
    ("kubeconfig", "FILE", "the kubeconfig to use"),
    ("context", "NAME", "the context to use"),
    ("server", "URL", "the API server"),
    ("token", "TOKEN", "bearer token"),
    ("as", "USER", "act as this user"),
    ("as-uid", "UID", "act as the user with this UID"),
    ("certificate-authority", "FILE", "whom to trust, PEM"),
    ("client-certificate", "FILE", "PEM"),
    ("client-key", "FILE", "PEM"),
    ("username", "NAME", "for basic authentication"),
    ("password", "WORD", "for basic authentication"),
    ("tls-server-name", "NAME", "the name that the server's certificate must be for"),
    ("request-timeout", "DURATION", "give up a request after this long, e.g. 10s"),
)
INERT_VALUES = ("cache-dir", "profile", "profile-output")
INERT = ("disable-compression", "match-server-version", "warnings-as-errors")
RESOURCES = (
    "names: TYPE/NAME ..., TYPE NAME ..., TYPE1,TYPE2 NAME ..., or TYPE alone for all in the namespace"
)
VERBS = {
    "approve": ("let a Rollout that waits at a step go on", ("rollout approve rollout/web -n shop",)),
    "undo": (
        "put an earlier revision back",
        (
            "rollout undo rollout/web",
            "rollout undo deployment/web --to-revision=3",
            "rollout undo rollout/web --fast",
        ),
    ),
    "pause": ("hold a Rollout or a workload where it is", ("rollout pause rollout/web",)),
    "resume": ("let a paused Rollout or workload go on", ("rollout resume rollout/web",)),
    "restart": ("replace all pods; under a Rollout step by step", ("rollout restart deployment/web",)),
    "abort": ("go back to the revision that ran before this release", ("rollout abort rollout/web",)),
    "jump": ("go on with another step, in either direction", ("rollout jump rollout/web --to 3",)),
    "status": (
        "follow a release until it is over",
        ("rollout status rollout/web --timeout=10m", "rollout status rollout/web --watch=false"),
    ),
    "history": ("list the revisions of a workload", ("rollout history rollout/web --revision=2",)),
    "list": ("list Rollouts: strategy, step, pods", ("rollout list -A",)),
}


class Parser(argparse.ArgumentParser):
    """Fails as kubectl does: on standard error, exit status 1."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", HelpLayout)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"argument COMMAND: invalid choice: '([^']*)'", message)
        if unknown and self.prog == PROGRAM:
            raise CommandError(
                f'Error: unknown command "{unknown[1]}" for "{PROGRAM}"\nRun \'{PROGRAM} -h\' for usage.'
            )
        if unknown:
            raise CommandError(f'error: unknown command "{unknown[1]}"\n{self.see()}')
        raise CommandError(f"error: {message}\n{self.see()}")

    def see(self) -> str:
        return f"See '{self.prog} -h' for help and examples"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """What a command line says; `verb` is its command, `parser` that command's own. Raises CommandError."""
    flags, rest = _root().parse_known_args([w for word in arguments for w in _spelled(word)])
    for word in rest:
        if word.startswith("-") and word != "-":
            raise CommandError(f"Error: unknown flag: {word.partition('=')[0]}\n{flags.parser.see()}")
    if rest and "names" not in flags:
        raise CommandError(f"error: unexpected argument: {rest[0]}\n{flags.parser.see()}")
    if rest:
        flags.names = [*flags.names, *rest]  # names after flags
    return flags


def _spelled(word: str) -> tuple[str, ...]:
    """`word` as argparse wants it: --fast for --fast=true, nothing for --fast=false."""
    if word == "--dry-run":
        return ("--dry-run=client",)
    flag, has_value, value = word.partition("=")
    if not has_value or flag not in BOOLEANS:
        return (word,)
    if value.lower() in ("true", "t", "1"):
        return (flag,)
    if value.lower() in ("false", "f", "0"):
        return ("--no-watch",) if flag == "--watch" else ()
    raise CommandError(f'error: invalid argument "{value}" for "{flag}" flag: write true or false')


def _root() -> Parser:
    shared = cluster_flags(hidden=True)
    root = Parser(
        prog=PROGRAM,
        parents=[shared],
        description="Approve, watch and undo progressive releases.",
        epilog=f"The flags of kubectl (-n, --context, --as ...) work everywhere: '{PROGRAM} options' lists them.",
    )
    root.add_argument("--version", action="version", version=f"kubectl-kruise {__version__}")
    root.set_defaults(verb="help", parser=root, code=0)
    commands = _children(root)
    rollout = commands.add_parser("rollout", help="act on Rollouts and workloads", parents=[shared])
    rollout.set_defaults(verb="help", parser=rollout, code=1)
    verbs = _children(rollout)
    _acting(verbs, shared)
    _reading(verbs, shared)
    describe = commands.add_parser("describe", help="report on a Rollout", parents=[shared])
    describe.set_defaults(verb="help", parser=describe, code=1)
    _describing(_children(describe), shared)
    options = commands.add_parser("options", help="list the flags that every command takes")
    options.set_defaults(verb="options", parser=options)
    return root


def _children(parser: Parser) -> argparse._SubParsersAction[Parser]:
    return parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)


def _verb(
    verbs: argparse._SubParsersAction[Parser], shared: Parser, name: str, aliases: Sequence[str] = ()
) -> Parser:
    what, examples = VERBS[name]
    lines = [f"  {PROGRAM} {example}" for example in examples]
    parser = verbs.add_parser(
        name,
        aliases=aliases,
        help=what,
        parents=[shared],
        description=what[0].upper() + what[1:] + ".",
        epilog="\n".join(["examples:", *lines]),
    )
    parser.set_defaults(verb=name, parser=parser)
    return parser


def _acting(verbs: argparse._SubParsersAction[Parser], shared: Parser) -> None:
    for name, aliases in (
        ("approve", ("promote",)), ("undo", ()), ("pause", ()), ("resume", ()), ("restart", ()), ("abort", ()), ("jump", ()),
    ):  # fmt: skip
        verb = _verb(verbs, shared, name, aliases)
        _resource_flags(verb)
        _print_flags(verb)
        if name == "undo":
            verb.add_argument(
                "--to-revision", type=int, default=0, metavar="N", help="which one (default 0: the previous)"
            )
            verb.add_argument(
                "--fast", action="store_true", help="jump back to the last step without traffic"
            )
        if name == "jump":
            verb.add_argument(
                "--to", type=int, required=True, metavar="STEP", help="the step, 1 is the first"
            )


def _reading(verbs: argparse._SubParsersAction[Parser], shared: Parser) -> None:
    status = _verb(verbs, shared, "status")
    status.epilog = f"{status.epilog}\n\nexit status: 0 done; 1 failed, stalled, rolled back, deleted or timed out; 3 with --exit-on-pause"
    _resource_flags(status)
    _watch_flag(status, True, "follow it (default; --watch=false prints one line and ends)")
    status.add_argument(
        "--timeout", default="0s", metavar="DURATION", help="give up after e.g. 5m (default 0s: never)"
    )
    status.add_argument(
        "--revision", type=int, default=0, metavar="N", help="fail unless this one runs (Deployment)"
    )
    status.add_argument("-d", "--detail", action="store_true", help=argparse.SUPPRESS)
    status.add_argument(
        "--exit-on-pause",
        action="store_true",
        help="exit with 3 where a person must act: a step waits for approval, the Rollout is paused",
    )
    history = _verb(verbs, shared, "history")
    _resource_flags(history)
    history.add_argument("--revision", type=int, default=0, metavar="N", help="show this one whole")
    listing = _verb(verbs, shared, "list")
    listing.add_argument("-A", "--all-namespaces", action="store_true", help="of every namespace")


def _describing(nouns: argparse._SubParsersAction[Parser], shared: Parser) -> None:
    what = "steps, revisions and pods of a Rollout"
    report = nouns.add_parser(
        "rollout",
        aliases=["rollouts", "ro"],
        help=what,
        parents=[shared],
        description=what[0].upper() + what[1:] + ".",
        epilog=f"examples:\n  {PROGRAM} describe rollout web -n shop\n  {PROGRAM} describe rollout web --watch",
    )
    report.set_defaults(verb="describe", parser=report)
    report.add_argument("names", nargs="*", metavar="NAME")
    _watch_flag(report, False, "draw it again on each change")
    report.add_argument(
        "--timeout", type=int, default=0, metavar="SECONDS", help="give up watching after this long"
    )
    report.add_argument(
        "--no-color", action="store_true", help="no colours and icons; NO_COLOR does the same"
    )
    report.add_argument(
        "--all", action="store_true", dest="every_pod", help="all new pods, not the current batch only"
    )


def _watch_flag(parser: Parser, default: bool, what: str) -> None:
    parser.add_argument("-w", "--watch", action="store_true", default=default, help=what)
    parser.add_argument("--no-watch", action="store_false", dest="watch", help=argparse.SUPPRESS)


def cluster_flags(*, hidden: bool) -> Parser:
    """Flags of every command. `hidden`: the help of a command does not list them."""
    shared = Parser(add_help=False, prog=PROGRAM, usage=argparse.SUPPRESS)

    def shown(text: str) -> str:
        return argparse.SUPPRESS if hidden else text

    group = shared.add_argument_group("flags of every command")
    group.add_argument("-n", "--namespace", default=argparse.SUPPRESS, help=shown("the namespace"))
    for flag, value, what in VALUES:
        short = ["-s"] if flag == "server" else []
        dest = flag.replace("-", "_") + "_flag"
        group.add_argument(
            *short, f"--{flag}", default=argparse.SUPPRESS, dest=dest, metavar=value, help=shown(what)
        )
    group.add_argument(
        "--as-group",
        action="append",
        default=argparse.SUPPRESS,
        metavar="GROUP",
        help=shown("act as its member; repeatable"),
    )
    group.add_argument(
        "--insecure-skip-tls-verify",
        action="store_true",
        default=argparse.SUPPRESS,
        help=shown("trust any server"),
    )
    for flag in ("cluster", "user", *INERT_VALUES):
        group.add_argument(f"--{flag}", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    for flag in INERT:
        group.add_argument(
            f"--{flag}", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    return shared


def _resource_flags(verb: Parser) -> None:
    verb.add_argument("names", nargs="*", metavar="TYPE/NAME", help=RESOURCES)
    verb.add_argument(
        "-f",
        "--filename",
        action="append",
        default=[],
        metavar="FILE",
        help="objects of a manifest, a folder, or - for standard input",
    )
    verb.add_argument("-k", "--kustomize", default="", metavar="DIR", help="objects of a kustomization")
    verb.add_argument("-R", "--recursive", action="store_true", help="with -f: folders in folders too")


def _print_flags(verb: Parser) -> None:
    verb.add_argument("-o", "--output", default="", metavar="FORMAT", help="name, json or yaml")
    verb.add_argument("--show-managed-fields", action="store_true", help=argparse.SUPPRESS)
    verb.add_argument(
        "--dry-run",
        default="none",
        choices=("none", "client", "server"),
        metavar="none|client|server",
        help="change nothing: ask nobody, or let the server check",
    )
