"""All stories."""

from __future__ import annotations

from . import (
    stories_access,
    stories_custom,
    stories_filled,
    stories_reading,
    stories_refused,
    stories_rules,
    stories_subresources,
    stories_tables,
    stories_verbs,
)

STORIES = (
    *stories_verbs.stories(),
    *stories_reading.stories(),
    *stories_custom.stories(),
    *stories_subresources.stories(),
    *stories_filled.stories(),
    *stories_refused.stories(),
    *stories_access.stories(),
    *stories_tables.stories(),
    *stories_rules.stories(),
)
