"""Role-based access: who may do what, from the roles and bindings in the store. Pure apart from reading it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.sandbox.request import Target, User
from kruise_rollouts.sandbox.selectors import matches, of_object
from kruise_rollouts.sandbox.store import Store

GROUP = "rbac.authorization.k8s.io"
MASTERS = "system:masters"
ACCOUNT = "system:serviceaccount:"


class Deed(Struct, frozen=True):
    """What somebody wants to do."""

    verb: str
    group: str = ""
    resource: str = ""  # with its subresource: "pods/log"; "" for a path
    ns: str = ""  # "": cluster-scoped, or all namespaces
    name: str = ""
    path: str = ""


def deed_of(target: Target) -> Deed:
    """The deed that a request is."""
    if not target.plural:
        return Deed(target.verb, path=target.path)
    resource = f"{target.plural}/{target.subresource}" if target.subresource else target.plural
    return Deed(target.verb, target.group, resource, target.ns, target.name or target.selected)


class Grant(Struct, frozen=True):
    """A rule, and the binding it comes from."""

    rule: JsonObject
    reason: str


class Rbac:
    """Answers from the roles and bindings in `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def verdict(self, user: User, deed: Deed) -> tuple[bool, str]:
        """Whether `user` may do it, and why (or why not: a binding to a role that is missing)."""
        if MASTERS in user.groups:
            return True, ""
        missing: list[str] = []
        for grant in self.grants(user, deed.ns, missing):
            if covers(grant.rule, deed):
                return True, f"RBAC: allowed by {grant.reason}"
        return False, f"RBAC: {missing[0]}" if missing else ""

    def grants(self, user: User, ns: str, missing: list[str] | None = None) -> Iterator[Grant]:
        """The rules that hold for `user` in `ns` ("": at the cluster scope). Roles that are bound but do not exist
        are named in `missing`."""
        for binding in self._store.list(GROUP, "clusterrolebindings"):
            yield from self._granted(user, binding, "", missing)
        if ns:
            for binding in self._store.list(GROUP, "rolebindings", ns):
                yield from self._granted(user, binding, ns, missing)

    def _granted(
        self, user: User, binding: JsonObject, ns: str, missing: list[str] | None
    ) -> Iterator[Grant]:
        subject = next((s for s in binding.get("subjects") or () if _is_subject(user, s, ns)), None)
        if subject is None:
            return
        reference = binding["roleRef"]
        role = self.role(reference, ns)
        if role is None:
            if missing is not None:
                missing.append(f'{reference["kind"].lower()}.{GROUP} "{reference["name"]}" not found')
            return
        reason = self._reason(binding, subject, ns)
        for rule in self.rules(role):
            yield Grant(rule, reason)

    def _reason(self, binding: JsonObject, subject: JsonObject, ns: str) -> str:
        name, reference = binding["metadata"]["name"], binding["roleRef"]
        bound = f'RoleBinding "{name}/{ns}"' if ns else f'ClusterRoleBinding "{name}"'
        who = subject["name"]
        if subject["kind"] == "ServiceAccount":
            who = f"{who}/{subject.get('namespace') or ns}"
        return f'{bound} of {reference["kind"]} "{reference["name"]}" to {subject["kind"]} "{who}"'

    def role(self, reference: JsonObject, ns: str) -> JsonObject | None:
        """The role a roleRef names; None if there is none."""
        if reference["kind"] == "ClusterRole":
            return self._store.get(GROUP, "clusterroles", "", reference["name"])
        return self._store.get(GROUP, "roles", ns, reference["name"])

    def rules(self, role: JsonObject) -> list[JsonObject]:
        """The rules of a role; those of an aggregated one are the rules of the roles it selects."""
        aggregation = role.get("aggregationRule")
        if aggregation is None:
            return list(role.get("rules") or ())
        out: list[JsonObject] = []
        for found in self.selected(aggregation, role["metadata"]["name"]):
            out += [rule for rule in self.rules(found) if rule not in out]
        return out

    def selected(self, aggregation: JsonObject, name: str) -> list[JsonObject]:
        """The roles an aggregationRule selects, but for `name` itself, whose rule it is."""
        selectors = [of_object(s) or () for s in aggregation.get("clusterRoleSelectors") or ()]
        return [
            role
            for role in self._store.list(GROUP, "clusterroles")
            if role["metadata"]["name"] != name
            and any(matches(s, role["metadata"].get("labels") or {}) for s in selectors)
        ]


def _is_subject(user: User, subject: JsonObject, ns: str) -> bool:
    match subject.get("kind"):
        case "User":
            return bool(subject["name"] == user.name)
        case "Group":
            return subject["name"] in user.groups
        case "ServiceAccount":
            return user.name == f"{ACCOUNT}{subject.get('namespace') or ns}:{subject['name']}"
    return False


def covers(rule: JsonObject, deed: Deed) -> bool:
    """Whether `rule` allows the deed."""
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and deed.verb not in verbs:
        return False
    if deed.path:
        return any(_on_path(p, deed.path) for p in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if "*" not in groups and deed.group not in groups:
        return False
    if not any(_is_resource(r, deed.resource) for r in rule.get("resources") or ()):
        return False
    names = rule.get("resourceNames") or ()
    return not names or deed.name in names


def _on_path(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _is_resource(pattern: str, resource: str) -> bool:
    if pattern in ("*", resource):
        return True
    _, slash, below = resource.partition("/")
    return bool(slash) and pattern == f"*/{below}"


# Escalation: nobody grants what they do not have.


def lacking(owned: Iterable[JsonObject], wanted: Iterable[JsonObject]) -> list[JsonObject]:
    """The parts of `wanted` that `owned` does not cover, in single rules sorted by group and resource."""
    held = tuple(owned)
    rules: dict[tuple[str, ...], JsonObject] = {}
    for rule in wanted:
        for key, part in _parts(rule):
            verbs = [v for v in part["verbs"] if not any(_covers_part(h, part, v) for h in held)]
            if verbs:
                known = rules.setdefault(key, {**part, "verbs": []})
                known["verbs"] += [v for v in verbs if v not in known["verbs"]]
    return [rules[key] for key in sorted(rules)]


def _parts(rule: JsonObject) -> Iterator[tuple[tuple[str, ...], JsonObject]]:
    """The rule taken apart: one group, one resource, one name at a time; paths last."""
    verbs = rule.get("verbs") or []
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for name in rule.get("resourceNames") or ("",):
                part = {"apiGroups": [group], "resources": [resource], "verbs": verbs}
                if name:
                    part["resourceNames"] = [name]
                yield ("", group, resource, name), part
    for path in rule.get("nonResourceURLs") or ():
        yield ("path", path), {"nonResourceURLs": [path], "verbs": verbs}


def _covers_part(rule: JsonObject, part: JsonObject, verb: str) -> bool:
    if "nonResourceURLs" in part:
        return covers(rule, Deed(verb, path=part["nonResourceURLs"][0]))
    names = part.get("resourceNames") or [""]
    deed = Deed(verb, part["apiGroups"][0], part["resources"][0], name=names[0])
    return covers(rule, deed)


def shown(rule: JsonObject) -> str:
    """A rule as a refusal shows it."""
    fields = (
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("ResourceNames", "resourceNames"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("Verbs", "verbs"),
    )
    listed = [f"{name}:[{' '.join(_quoted(rule[key]))}]" for name, key in fields if rule.get(key)]
    return "{" + ", ".join(listed) + "}"


def _quoted(texts: list[str]) -> list[str]:
    return [f'"{t}"' for t in texts]
