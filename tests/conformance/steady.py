"""The part of an answer that is the same whenever and wherever it is given.

Identifiers, times, allocated addresses and generated names are replaced by words such as `<uid>`, so that it still shows
that they were there.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

_UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_NOW = re.compile(r"\b20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_ADDRESS = re.compile(r"^\d+\.\d+\.\d+\.\d+$")
_TOO_LARGE = re.compile(r"(Too large resource version: \d+, current: )\d+")
_MADE = re.compile(r"\b(Made_)[a-z0-9]{5}\b")
# Objects shown in messages, as text in quotes or as they are. The order of their keys is not compared.
_SHOWN = re.compile(r'"\{(?:[^"\\]|\\.)*\}"|(?<=Invalid value: )\[\{.*?\}\](?=: )')
_QUOTED = re.compile(r'(\\*"(?:resourceVersion|creationTimestamp|time)\\*": ?\\*")[^"\\]+')
_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+")  # of a service account
_TIMES = {
    "creationTimestamp",
    "deletionTimestamp",
    "time",
    "lastTransitionTime",
    "lastUpdateTime",
    "expirationTimestamp",
    "lastPhaseTransitionTime",
}
_ALLOCATED = {"clusterIP": "<ip>", "clusterIPs": ["<ip>"]}
_CONTROLLERS = ("kube-controller-manager", "kruise-rollout-sandbox")
_REVISION = "deployment.kubernetes.io/revision"
# Made by controllers in every namespace.
_EVERYWHERE = ("kube-root-ca.crt", "default")


class Steady:
    """Strips answers. `known` are the variables saved so far: their values are replaced by their names."""

    def __init__(self, known: dict[str, str], controlled: bool) -> None:
        self._known = known
        self._controlled = controlled

    def answer(self, code: int, content_type: str, warnings: tuple[str, ...], body: bytes) -> dict[str, Any]:
        """Code, media type unless JSON, warnings, and the body; of a watch, the list of its events."""
        out: dict[str, Any] = {"code": code}
        media = content_type.replace(" ", "")
        if media != "application/json":
            out["media"] = media
        if warnings:
            out["warnings"] = [self._text(w) for w in warnings]
        out["body"] = self._body(body, media)
        return out

    def _body(self, body: bytes, media: str) -> Any:
        text = body.decode("utf-8", "replace")
        if media.startswith("application/yaml"):
            return self._value(yaml.load(text, yaml.BaseLoader), "")
        lines = text.splitlines()
        try:
            if len(lines) > 1 and all(line.startswith('{"type"') for line in lines):
                return self._events([json.loads(line) for line in lines])
            value = json.loads(text) if text else None
        except ValueError:
            return self._text(text)
        if isinstance(value, dict) and set(value) == {"type", "object"}:
            return self._events([value])
        return self._value(value, "")

    def _events(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        """Bookmarks come when the server likes, save the one that ends the initial events."""
        kept = [
            e for e in events if e["type"] != "BOOKMARK" or (e["object"]["metadata"].get("annotations") or {})
        ]
        return {"events": [self._value(e, "") for e in kept]}

    def _value(self, value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            if key == "managedFields":
                return self._managers(value)
            if key == "clusterIPs" and value and value != ["None"]:
                return _ALLOCATED[key]
            return [self._value(v, key) for v in value]
        if isinstance(value, str):
            return self._string(value, key)
        if key == "nodePort" and value:
            return "<port>"
        return value

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        out = {_UID.sub("<uid>", k): self._value(v, k) for k, v in value.items()}
        if out.get("kind") == "Status" and isinstance(out.get("details"), dict) and "message" in out:
            _order_causes(out)
        if "generateName" in out and isinstance(out.get("name"), str):
            made = out["name"].removeprefix(out["generateName"])
            out["name"] = f"{out['generateName']}<{len(made)}>"
        if isinstance(out.get("columnDefinitions"), list):
            _hide_ages(out)
        if self._controlled and "metadata" in out and "spec" in out:
            _hide_control(out)
        if isinstance(out.get("items"), list):
            out["items"] = [i for i in out["items"] if not _is_everywhere(i)]
        return out

    def _managers(self, entries: list[Any]) -> list[Any]:
        kept = [e for e in entries if not (self._controlled and e.get("manager") in _CONTROLLERS)]
        out = [self._value(e, "") for e in kept]
        # Within one second their order is chance.
        return sorted(out, key=lambda e: json.dumps(e, sort_keys=True))

    def _string(self, text: str, key: str) -> str:
        if key == "resourceVersion" and text.isdigit() and text != "0":
            return "<rv>"
        if key in _TIMES and _NOW.fullmatch(text):
            return "<time>"
        if key == "continue" and text:
            return "<token>"
        if key == "serverAddress":
            return "<address>"
        if key == "clusterIP" and _ADDRESS.match(text):
            return "<ip>"
        return self._text(text)

    def _shown(self, found: re.Match[str]) -> str:
        """An object shown in a message, made steady like any other."""
        try:
            value = json.loads(found[0])
            inner = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            return found[0]
        text = json.dumps(self._value(inner, ""), sort_keys=True)
        return json.dumps(text) if isinstance(value, str) else text

    def _text(self, text: str) -> str:
        for name, value in self._known.items():
            if len(value) > 4 or (value.isdigit() and len(text) > len(value)):
                text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", f"<{name}>", text)
        text = _SHOWN.sub(self._shown, _TOKEN.sub("<jwt>", text))
        text = _QUOTED.sub(r"\1<now>", _MADE.sub(r"\1<5>", text))
        return _TOO_LARGE.sub(r"\1<rv>", _UID.sub("<uid>", text))


def _order_causes(status: dict[str, Any]) -> None:
    """Kubernetes tells several causes in the order of a hash table."""
    causes = status["details"].get("causes") or []
    told = [f"{c.get('field', '')}: {c['message']}" for c in causes if "message" in c]
    head, bracket, rest = status["message"].partition("[")
    if len(causes) > 1 and bracket and len(rest) == len(", ".join(told)) + 1:
        status["message"] = f"{head}[{', '.join(sorted(told))}]"
    elif status.get("reason") != "Conflict":  # whose message has an order of its own
        return
    if causes:
        status["details"]["causes"] = sorted(causes, key=lambda c: json.dumps(c, sort_keys=True))


def _hide_ages(table: dict[str, Any]) -> None:
    ages = [i for i, column in enumerate(table["columnDefinitions"]) if column["name"] == "Age"]
    for column in table["columnDefinitions"]:
        column.pop("description", None)
    for row in table["rows"] or ():
        for index, cell in enumerate(row["cells"]):
            if index in ages:
                row["cells"][index] = "<age>"
            elif isinstance(cell, str) and _ADDRESS.match(cell):
                row["cells"][index] = "<ip>"
            elif isinstance(cell, str) and _NOW.fullmatch(cell):
                row["cells"][index] = "<time>"


def _hide_control(obj: dict[str, Any]) -> None:
    obj.pop("status", None)
    annotations = obj["metadata"].get("annotations")
    if not isinstance(annotations, dict):
        return
    annotations.pop(_REVISION, None)
    if not annotations:
        obj["metadata"].pop("annotations", None)


def _is_everywhere(item: Any) -> bool:
    meta = item.get("metadata") if isinstance(item, dict) else None
    return isinstance(meta, dict) and meta.get("name") in _EVERYWHERE and "ownerReferences" not in meta
