"""Decide: snapshot in, decision out. Pure: no I/O, no clock, no logging; fetching belongs to operator/."""
