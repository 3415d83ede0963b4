"""Where the sandbox answers otherwise than a real API server, and why. docs/sandbox.md shows this table.

An entry covers the places its patterns match and nothing else; one that covers nothing any more fails a test.
"""

from __future__ import annotations

from .comparing import Difference

DIFFERENCES: tuple[Difference, ...] = (
    Difference("paths", "*version", "body.*", "The version says nothing of a Go compiler and of a commit of Kubernetes."),
    Difference(
        "watches",
        "too old",
        "body.events",
        "The sandbox remembers more changes than it has made in a short life, so no version is too old yet.",
    ),
    Difference(
        "watches",
        "initial events",
        "body.events",
        "The recorded server stood on an etcd that cannot tell progress, and refused to list in a watch.",
    ),
    Difference(
        "applies",
        "YAML",
        "code",
        "A name that is no text is refused for being another name, with 400 instead of 500.",
    ),
    Difference("bodies", "a List", "body.message", "What a body of kind List cannot be turned into is worded otherwise."),
    Difference("bodies", "big number", "body.message", "A number beyond all floats is told as a fault of the JSON."),
    Difference("bodies", "type protobuf", "body.message", "A body without the mark of protobuf is worded otherwise."),
    Difference("bodies", "YAML: an anchor", "body.message", "Faults of YAML are told by the YAML library in use."),
    Difference("custom", "scale by put of another kind", "body.message", "A body that is no Scale is worded otherwise."),
    Difference("subresources", "what cannot change", "*message", "The difference shown in the message has fewer lines around it."),
    Difference("disruption", "move a bound pod", "*message", "The difference shown in the message has fewer lines around it."),
    Difference("rules", "definition with too dear", "code", "What rules in CEL may cost is not estimated."),
    Difference("stored", "revision number", "code", "A patch of a ControllerRevision's number is not taken for one of its data."),
)  # fmt: skip
