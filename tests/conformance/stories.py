"""All stories."""

from __future__ import annotations

from . import (
    stories_custom,
    stories_filled,
    stories_reading,
    stories_refused,
    stories_subresources,
    stories_verbs,
)

STORIES = (
    *stories_verbs.stories(),
    *stories_reading.stories(),
    *stories_custom.stories(),
    *stories_subresources.stories(),
    *stories_filled.stories(),
    *stories_refused.stories(),
)
