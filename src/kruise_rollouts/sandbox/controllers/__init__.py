"""Kubernetes' own controllers for the sandbox, one file each: what they see, and a pure `decide`.

Objects are raw dicts here, immutable once stored. A controller never touches the store: it is handed a snapshot
and returns a Decision; `sandbox/runner.py` runs the loop. Read `facts.py` and `world.py` first, then `replicaset.py`.
"""
