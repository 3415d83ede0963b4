"""Releases per second, at both levels: the pure core on a model of Kubernetes, and the whole stack in the sandbox.

python bench/releases_per_second.py                       a few seconds of each
python bench/releases_per_second.py --core 1000000        a million releases of the core
python bench/releases_per_second.py --world 10000 --first 50000
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "properties")]

from release_lives import a_life  # noqa: E402
from test_releases import play as play_core  # noqa: E402
from world_rules import watch  # noqa: E402
from world_stage import a_world, play  # noqa: E402

from kruise_rollouts.runtime.controller import FoldLimit  # noqa: E402


def core(seed: int) -> None:
    """One release with the acts that `seed` stands for, and every rule looked at."""
    play_core(**a_life(seed))


def world(seed: int) -> None:
    """One life of one Deployment with everything that can go wrong."""
    play(*a_world(seed), watch)


def measured(name: str, one: Callable[[int], None], seeds: range) -> bool:
    """Prints the rate; True if every rule held."""
    bad: list[int] = []
    began = time.perf_counter()
    for done, seed in enumerate(seeds, start=1):
        try:
            one(seed)
        except (AssertionError, FoldLimit) as error:
            bad.append(seed)
            print(f"{name} seed {seed}: {(str(error).splitlines() or [type(error).__name__])[0]}")
        if done % 10_000 == 0:
            print(f"{name}: {done} releases, {done / (time.perf_counter() - began):.1f}/s", flush=True)
    seconds = time.perf_counter() - began
    print(
        f"{name}: {len(seeds)} releases in {seconds:.1f} s, {len(seeds) / seconds:.1f}/s, {len(bad)} broke a rule"
    )
    return not bad


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--core", type=int, default=100, help="releases of the core")
    parser.add_argument("--world", type=int, default=10, help="releases of the whole stack")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    flags = parser.parse_args()
    logging.disable(logging.CRITICAL)
    well = measured("core", core, range(flags.first, flags.first + flags.core))
    well &= measured("world", world, range(flags.first, flags.first + flags.world))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
