"""kubectl-kruise: the plugin that kubectl finds on PATH as `kubectl kruise`.

From words to calls: grammar.py says what was typed, resources.py which objects that names; the work is in act.py and
read.py, which is imported by the commands that need it: whoever approves should not wait for it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from . import act, step, undo
from .durations import seconds
from .ending import ended
from .errors import CommandError, refusal
from .grammar import cluster_flags, parse
from .output import Printer
from .resources import Discovery, Named, from_files, from_kustomization, select
from .session import Session, SessionFlags

if TYPE_CHECKING:
    from . import read

Run = Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str]) -> int:
    """Runs one command; the exit status."""
    return ended(_run, arguments)


def _run(arguments: Sequence[str]) -> None:
    flags = parse(arguments)
    RUNS[flags.verb](flags)


def session_of(flags: argparse.Namespace) -> Session:
    """The cluster that the flags, KUBECONFIG or the usual file name."""
    given = vars(flags)
    for unsupported in ("cluster", "user"):
        if given.get(unsupported):
            raise refusal(f"--{unsupported} is not supported: choose a --context that has it")
    return Session(
        SessionFlags(
            namespace=given.get("namespace", ""),
            as_groups=tuple(given.get("as_group", ())),
            insecure=given.get("insecure_skip_tls_verify", False),
            values={k.removesuffix("_flag"): v for k, v in given.items() if k.endswith("_flag")},
        )
    )


def _named(flags: argparse.Namespace, discovery: Discovery, session: Session) -> list[Named]:
    if flags.filename and flags.kustomize:
        raise refusal("only one of -f or -k can be specified")
    if flags.kustomize and flags.recursive:
        raise refusal("the -k flag can't be used with -f or -R")
    if flags.filename:
        return from_files(flags.filename, flags.recursive, discovery, session)
    if flags.kustomize:
        return from_kustomization(flags.kustomize, discovery, session)
    return select(flags.names, discovery, session)


def _work(flags: argparse.Namespace) -> tuple[act.Work, list[Named]]:
    printer = Printer(flags.output, flags.dry_run, flags.show_managed_fields)
    session = session_of(flags)
    discovery = Discovery(session)
    return act.Work(session, discovery, printer, flags.dry_run), _named(flags, discovery, session)


def _each(act_on: act.Act) -> Run:
    def run(flags: argparse.Namespace) -> None:
        work, named = _work(flags)
        act.each(work, named, act_on)

    return run


def _undo(flags: argparse.Namespace) -> None:
    work, named = _work(flags)
    if flags.fast:
        act.each(work, named, step.undo_fast)
    else:
        undo.undo_all(work, named, flags.to_revision)


def _jump(flags: argparse.Namespace) -> None:
    work, named = _work(flags)
    act.each(work, named, lambda work, one: step.jump(work, one, flags.to))


def _look(flags: argparse.Namespace) -> read.Look:
    from . import read

    session = session_of(flags)
    return read.Look(session, Discovery(session))


def _status(flags: argparse.Namespace) -> None:
    from . import read

    how = read.Following(flags.watch, seconds(flags.timeout), flags.revision, flags.exit_on_pause)
    look = _look(flags)
    read.status(look, _named(flags, look.discovery, look.session), how)


def _history(flags: argparse.Namespace) -> None:
    from . import read

    look = _look(flags)
    for one in _named(flags, look.discovery, look.session):
        read.history(look, one, flags.revision)


def _list(flags: argparse.Namespace) -> None:
    from . import read

    read.rollouts(_look(flags), every_namespace=flags.all_namespaces)


def _describe(flags: argparse.Namespace) -> None:
    from . import read

    if not flags.names:
        raise refusal("required rollout name not specified")
    look = _look(flags)
    name = flags.names[0]
    words = [name] if "/" in name else ["rollouts.rollouts.kruise.io", name]
    colour = not flags.no_color and not os.environ.get("NO_COLOR") and sys.stdout.isatty()
    how = read.Drawing(flags.watch, flags.timeout, colour, flags.every_pod)
    read.describe(look, select(words, look.discovery, look.session)[0], how)


def _help(flags: argparse.Namespace) -> None:
    flags.parser.print_help()
    raise CommandError("", flags.code)


def _options(_: argparse.Namespace) -> None:
    cluster_flags(hidden=False).print_help()


RUNS: Mapping[str, Run] = {
    "approve": _each(step.approve),
    "pause": _each(act.pause),
    "resume": _each(act.resume),
    "restart": _each(act.restart),
    "abort": _each(undo.abort),
    "jump": _jump,
    "undo": _undo,
    "status": _status,
    "history": _history,
    "list": _list,
    "describe": _describe,
    "help": _help,
    "options": _options,
}
