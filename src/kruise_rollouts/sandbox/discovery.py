"""Documents about the server itself: what it serves, its version, its health."""

from __future__ import annotations

import msgspec

from .refusals import no_such_path
from .request import Request, Response
from .resources import Registry

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}


class Discovery:
    """Answers paths that are no resource."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def respond(self, request: Request) -> Response:
        """The document at a path. Raises NotFound."""
        if request.path.rstrip("/") == "/version":
            return Response(200, msgspec.json.encode(VERSION))
        raise no_such_path()
