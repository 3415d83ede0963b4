"""Where the sandbox answers otherwise than a real API server, and why. docs/sandbox.md shows this table.

An entry covers the places its patterns match and nothing else; one that covers nothing any more fails a test.
"""

from __future__ import annotations

from .comparing import Difference

_OWNERS = "*managedFields*"

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
    Difference("forms", "columns of roles", "body.rows", "An empty table has an empty list of rows, never null."),
    Difference("filled", "role", "body.rules", "An empty list of rules stays a list, it does not become null."),
    Difference(
        "applies",
        "YAML",
        "code",
        "A name that is no text is refused for being another name, with 400 instead of 500.",
    ),
    Difference("applies", "a bad manager", "*message", "Control characters in messages are written as in JSON."),
    Difference("bodies", "a List", "body.message", "What a body of kind List cannot be turned into is worded otherwise."),
    Difference("bodies", "big number", "body.message", "A number beyond all floats is told as a fault of the JSON."),
    Difference("bodies", "type protobuf", "body.message", "A body without the mark of protobuf is worded otherwise."),
    Difference("bodies", "YAML: an anchor", "body.message", "Faults of YAML are told by the YAML library in use."),
    Difference(
        "custom",
        "create the CRD",
        "body.status.*",
        "A new CRD has no status until its names are accepted, which is at once.",
    ),
    Difference("definitions", "good", "body.status.*", "A dry run of a CRD shows no status."),
    Difference("custom", "established", f"body.metadata.{_OWNERS}", "The server writes the status of a CRD without owning it."),
    Difference("custom", "delete the CRD", f"body.metadata.{_OWNERS}", "The server writes the status of a CRD without owning it."),
    Difference(
        "custom",
        "spec a text",
        "*",
        "That the scale cannot be read from a spec of another type is not told in addition.",
    ),
    Difference("custom", "status of a wrong type", "*message", "The path of a fault below status is told whole."),
    Difference("custom", "scale by put of another kind", "body.message", "A body that is no Scale is worded otherwise."),
    Difference("definitions", "bad version", "*", "The name of a version is judged once, not once more as the old field."),
    Difference("subresources", "what cannot change", "*message", "The difference shown in the message has fewer lines around it."),
    Difference(
        "subresources",
        "spec through status",
        f"body.metadata.{_OWNERS}",
        "Who applies a scale with the same number shares the field with its owner instead of taking it.",
    ),
    Difference(
        "subresources",
        "deployment",
        f"body.metadata.{_OWNERS}",
        "Who applies a scale with the same number shares the field with its owner instead of taking it.",
    ),
    Difference("subresources", "token", "body.metadata.*", "Answers that are never stored have no uid and no owners."),
    Difference("subresources", "what may I", f"body.metadata.{_OWNERS}", "Answers that are never stored have no uid and no owners."),
    Difference("subresources", "review a token", f"body.metadata.{_OWNERS}", "Answers that are never stored have no uid and no owners."),
    Difference("filled", "daemon set", "body.metadata.*", "DaemonSets do not get the annotation that was given up in apps/v1."),
    Difference("filled", "autoscaler v1", "body.*", "The goal of 80% of CPU is filled in for autoscaling/v2 only."),
    Difference(
        "filled",
        "claim",
        "body.metadata.finalizers",
        "No volume is ever in use in the sandbox: claims and volumes are not protected by finalizers.",
    ),
    Difference(
        "filled",
        "volume",
        "body.*",
        "No volume is ever in use in the sandbox: claims and volumes are not protected by finalizers.",
    ),
    Difference("*", "event*", f"*{_OWNERS}", "A time of an Event that is null is owned by who wrote the Event."),
    Difference("stored", "events of the new kind", "body.reporting*", "Empty texts of events.k8s.io/v1 are shown."),
    Difference("refused", "budget of both", "*message", "Values in messages are written as in JSON, not as Go's fields."),
    Difference("stored", "role ref is fixed", "*message", "Values in messages are written as in JSON, not as Go's fields."),
    Difference("stored", "revision number", "code", "A patch of a ControllerRevision's number is not taken for one of its data."),
)  # fmt: skip
