"""Entry points of the two programs. Nothing but the choice of which one: imports are kept for the one that runs."""

from __future__ import annotations

import gc
import sys


def kubectl_kruise() -> int:
    """kubectl-kruise, found by kubectl on PATH."""
    gc.disable()  # until a loop runs: what is imported stays
    from kruise_rollouts.cli.kubectl_kruise import main

    return main(sys.argv[1:])


def kruise_rollout() -> int:
    """kruise-rollout: the manager, the sandbox, installing."""
    gc.disable()  # until a loop runs: what is imported stays
    from kruise_rollouts.cli.kruise_rollout import main

    return main(sys.argv[1:])
