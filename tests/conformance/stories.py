"""All stories."""

from __future__ import annotations

from . import stories_kinds, stories_reading, stories_verbs

STORIES = (*stories_verbs.stories(), *stories_reading.stories(), *stories_kinds.stories())
