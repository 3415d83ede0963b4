"""How results are printed: one line per object, its name only, or the object itself."""

from __future__ import annotations

import sys

import msgspec

from kruise_rollouts.kube.effects import JsonObject

from .errors import refusal

FORMATS = ("", "name", "json", "yaml")
DRY_RUN_SUFFIX = {"none": "", "client": " (dry run)", "server": " (server dry run)"}


class Printer:
    """Prints in the format of `-o`."""

    def __init__(self, format: str, dry_run: str = "none", show_managed_fields: bool = False) -> None:
        if format not in FORMATS:
            raise refusal(
                f'unable to match a printer suitable for the output format "{format}", allowed formats are: json, name, yaml'
            )
        self._format = format
        self._suffix = DRY_RUN_SUFFIX[dry_run]
        self._managed = show_managed_fields

    def result(self, label: str, word: str, obj: JsonObject) -> None:
        """`obj` after the change; `word` says what was done to it."""
        match self._format:
            case "":
                print(f"{label} {word}{self._suffix}")
            case "name":
                print(label)
            case "json":
                print(msgspec.json.format(msgspec.json.encode(self._shown(obj)), indent=4).decode())
            case _:
                import yaml  # here, because few need it and everybody waits for an import

                print(yaml.safe_dump(self._shown(obj), sort_keys=True, default_flow_style=False), end="")

    def text(self, block: str) -> None:
        if not self._format:
            print(block)

    def _shown(self, obj: JsonObject) -> JsonObject:
        if self._managed:
            return obj
        return {**obj, "metadata": {k: v for k, v in obj.get("metadata", {}).items() if k != "managedFields"}}


def pod_template(template: JsonObject) -> str:
    """A pod template in the way of `kubectl describe`: labels, annotations, containers."""
    meta, spec = template.get("metadata") or {}, template.get("spec") or {}
    lines = ["Pod Template:"]
    for title in ("labels", "annotations"):
        pairs = [f"{k}={v}" for k, v in sorted((meta.get(title) or {}).items())]
        if pairs:
            lines += [f"  {title.capitalize() + ':' if i == 0 else '':<13}{p}" for i, p in enumerate(pairs)]
    lines.append("  Containers:")
    for container in spec.get("containers") or ():
        lines += [f"   {container.get('name')}:", f"    Image:\t{container.get('image')}"]
        env = container.get("env") or ()
        if env:
            lines.append("    Environment:")
            lines += [f"      {e.get('name')}:\t{e.get('value', '<set from elsewhere>')}" for e in env]
    return "\n".join(lines)


def warn(message: str) -> None:
    """An API server's warning, as kubectl prints it."""
    print(f"Warning: {message}", file=sys.stderr)
