"""Observe and wire: which objects feed which decision, and where its writes go. Decisions belong to core/."""
