"""Writing a story down: `Script` collects asks, one call each."""

from __future__ import annotations

from typing import Any

from .asking import MERGE, Ask, Story


class Script:
    """A story in the making. Paths that do not begin with "/" are below the story's namespace in core/v1."""

    def __init__(self, name: str, *cluster_wide: str, controlled: bool = False) -> None:
        self.name = name
        self._asks: list[Ask] = []
        self._cluster_wide = cluster_wide
        self._controlled = controlled

    @property
    def story(self) -> Story:
        names = [a.name for a in self._asks]
        twice = {n for n in names if names.count(n) > 1}
        assert not twice, f"{self.name}: {twice}"
        return Story(self.name, tuple(self._asks), self._cluster_wide, self._controlled)

    def path(self, path: str, group: str = "") -> str:
        """`path` in the story's namespace; `group` is "apps/v1" and the like."""
        if path.startswith("/"):
            return path
        root = f"/apis/{group}" if group else "/api/v1"
        return f"{root}/namespaces/c-{self.name}/{path}"

    def ask(self, name: str, method: str, path: str, body: Any = None, group: str = "", **more: Any) -> None:
        self._asks.append(Ask(name, method, self.path(path, group), body, **more))

    def get(self, name: str, path: str, **more: Any) -> None:
        self.ask(name, "GET", path, **more)

    def watch(self, name: str, path: str, **more: Any) -> None:
        """A watch of one second."""
        mark = "&" if "?" in path else "?"
        self.ask(name, "GET", f"{path}{mark}watch=1&timeoutSeconds=1", **more)

    def post(self, name: str, path: str, body: Any = None, **more: Any) -> None:
        self.ask(name, "POST", path, body, **more)

    def put(self, name: str, path: str, body: Any = None, **more: Any) -> None:
        self.ask(name, "PUT", path, body, **more)

    def patch(self, name: str, path: str, body: Any = None, **more: Any) -> None:
        self.ask(name, "PATCH", path, body, **{"type": MERGE, **more})

    def delete(self, name: str, path: str, body: Any = None, **more: Any) -> None:
        self.ask(name, "DELETE", path, body, **more)


def thing(kind: str, name: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    """An object; `more` are its fields beside metadata."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def labelled(obj: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


def config(name: str, **data: str) -> dict[str, Any]:
    return thing("ConfigMap", name, data=data)
