"""How a webhook may be addressed, in Kubernetes' words: for admission webhooks and conversion webhooks alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.custom.value_check import invalid, required
from kruise_rollouts.sandbox.metadata import SUBDOMAIN_RULE

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_FORM = "desired format: https://host[/path]"


def client_causes(client: JsonObject, at: str) -> Iterator[Cause]:
    """What is wrong with a clientConfig."""
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        yield required(at, "exactly one of url or service is required")
    elif url is not None:
        yield from _url(url, f"{at}.url")
    elif service is not None:
        yield from _service(service, f"{at}.service")


def _url(url: str, at: str) -> Iterator[Cause]:
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme != "https":
        yield invalid(at, parts.scheme, f"'https' is the only allowed URL scheme; {_FORM}")
    if not host:
        yield invalid(at, host, f"host must be specified; {_FORM}")
    if user:
        yield invalid(at, user, "user information is not permitted in the URL")
    if parts.fragment:
        yield invalid(at, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        yield invalid(at, parts.query, "query parameters are not permitted in the URL")


def _service(service: JsonObject, at: str) -> Iterator[Cause]:
    for field in ("name", "namespace"):
        if not service.get(field):
            yield required(f"{at}.{field}")
    port = service.get("port")
    if port is not None and not 1 <= port <= 65535:
        yield invalid(f"{at}.port", port, "port is not valid: must be between 1 and 65535, inclusive")
    path = service.get("path")
    if path and path != "/":
        yield from _path(path, f"{at}.path")


def _path(path: str, at: str) -> Iterator[Cause]:
    if not path.startswith("/"):
        yield invalid(at, path, "must start with a '/'")
    for index, segment in enumerate(path[1:].removesuffix("/").split("/")):
        if not segment:
            yield invalid(at, path, f"segment[{index}] may not be empty")
        elif not _SUBDOMAIN.fullmatch(segment):
            yield invalid(at, path, f"segment[{index}]: {SUBDOMAIN_RULE}")


def review_version_causes(versions: list[str], at: str, why_required: str) -> Iterator[Cause]:
    """What is wrong with the versions of reviews a webhook understands."""
    if not versions:
        yield required(at, why_required)
        return
    if not {"v1", "v1beta1"} & set(versions):
        yield invalid(at, versions, "must include at least one of v1, v1beta1")
    for index, version in enumerate(versions):
        if version in versions[:index]:
            yield invalid(f"{at}[{index}]", version, "duplicate version")
