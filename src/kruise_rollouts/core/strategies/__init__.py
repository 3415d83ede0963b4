"""Rolling styles, one file each, and the registry that names them."""

from __future__ import annotations

from kruise_rollouts.api.rollouts_v1beta1 import Style
from kruise_rollouts.core.snapshot import Strategy

from . import partition

STRATEGIES: dict[Style, Strategy] = {s.style: s for s in (partition.STRATEGY,)}
