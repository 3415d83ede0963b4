"""Who asks, and whether they may: bearer tokens, impersonation, RBAC when it is enforced.

`install` joins in at a server's hooks. Without enforcement everybody who is authenticated may do everything; nobody
(no token) may do what RBAC gives to everybody, as in Kubernetes. What reviews answer is in reviews.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import BadRequest, Details, Forbidden, Unauthorized
from kruise_rollouts.sandbox.custom.crd import run_soon
from kruise_rollouts.sandbox.pipeline import Attempt, Parts
from kruise_rollouts.sandbox.request import ANONYMOUS, Target, User
from kruise_rollouts.sandbox.rules import new_uid, timestamp

from .rbac import ACCOUNT, GROUP, MASTERS, Deed, Rbac, deed_of, lacking, shown
from .tokens import ISSUER, Signer, TokenError

ADMIN = User("admin", "admin", (MASTERS, "system:authenticated"))
_AUTHENTICATED, _UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
_ROLES = {"roles", "clusterroles"}
_BINDINGS = {"rolebindings", "clusterrolebindings"}


class Access:
    """Authenticates and authorises the requests of one server. `tokens`: users by bearer token.

    `key_file`: keeps what tokens of service accounts are signed with; None for nowhere.
    """

    def __init__(
        self,
        parts: Parts,
        tokens: Mapping[str, User],
        *,
        enforce: bool = False,
        key_file: Path | None = None,
        soon: Callable[[Callable[[], None]], None] = run_soon,
    ) -> None:
        self._parts = parts
        self._tokens = dict(tokens)
        self.enforce = enforce
        self.rbac = Rbac(parts.store)
        self.signer = Signer(key_file)
        self._soon = soon
        self._unwritten = False

    def install(self) -> None:
        """Joins in at the hooks, and keeps the rules of aggregated roles written out."""
        hooks = self._parts.hooks
        hooks.authenticate, hooks.authorize = self.authenticate, self.authorize
        check = hooks.check

        async def check_escalation(attempt: Attempt) -> tuple[str, ...]:
            self._refuse_escalation(attempt)
            return await check(attempt)

        hooks.check = check_escalation
        self._parts.store.subscribe(GROUP, "clusterroles", self._role_changed)

    def _role_changed(self, type: str, old: JsonObject | None, new: JsonObject | None) -> None:
        if not self._unwritten:
            self._unwritten = True
            self._soon(self._write_roles)

    def _write_roles(self) -> None:
        self._unwritten = False
        write_aggregated(self._parts, self.rbac)

    # Who.

    def authenticate(self, headers: Mapping[str, str]) -> User:
        """The user of a request. Raises Unauthorized, Forbidden (impersonation), BadRequest."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            user = ANONYMOUS
        else:
            found = self.user_of(token.strip())
            if found is None:
                raise Unauthorized("Unauthorized")
            user = found
        if any(name.startswith("impersonate-") for name in headers):
            return self._impersonated(user, headers)
        return user

    def user_of(self, token: str) -> User | None:
        """The holder of a token; None if it is not valid (any more)."""
        known = self._tokens.get(token)
        if known is not None:
            return known
        if token.count(".") != 2:
            return None
        try:
            claims = self.signer.read(token)
        except TokenError:
            return None
        return self._account(claims)

    def _account(self, claims: JsonObject) -> User | None:
        """The service account a token was issued to, while token, account and bound object live."""
        private = claims.get("kubernetes.io") or {}
        ns, account = private.get("namespace", ""), private.get("serviceaccount") or {}
        if claims.get("exp", 0) <= self._parts.clock.now().timestamp() or ISSUER not in claims.get("aud", ()):
            return None
        live = self._parts.store.get("", "serviceaccounts", ns, account.get("name", ""))
        if live is None or live["metadata"]["uid"] != account.get("uid"):
            return None
        extra: dict[str, tuple[str, ...]] = {
            "authentication.kubernetes.io/credential-id": (f"JTI={claims.get('jti', '')}",)
        }
        pod = private.get("pod")
        if pod:
            bound = self._parts.store.get("", "pods", ns, pod["name"])
            if bound is None or bound["metadata"]["uid"] != pod["uid"]:
                return None
            extra["authentication.kubernetes.io/pod-name"] = (pod["name"],)
            extra["authentication.kubernetes.io/pod-uid"] = (pod["uid"],)
        groups = (*account_groups(ns), _AUTHENTICATED)
        return User(f"{ACCOUNT}{ns}:{account['name']}", account["uid"], groups, extra)

    def _impersonated(self, user: User, headers: Mapping[str, str]) -> User:
        name = headers.get("impersonate-user", "")
        groups = [g.strip() for g in headers.get("impersonate-group", "").split(",") if g.strip()]
        extra = {
            unquote(key.removeprefix("impersonate-extra-")): tuple(v.strip() for v in value.split(","))
            for key, value in headers.items()
            if key.startswith("impersonate-extra-")
        }
        if not name:
            raise BadRequest("requested impersonation without impersonating a user name")
        ns, _, account = name.removeprefix(ACCOUNT).partition(":")
        is_account = name.startswith(ACCOUNT) and bool(account)
        if is_account:
            self._check_deed(user, Deed("impersonate", "", "serviceaccounts", ns, account))
        else:
            self._check_deed(user, Deed("impersonate", "", "users", "", name))
        for group in groups:
            self._check_deed(user, Deed("impersonate", "", "groups", "", group))
        for key, values in extra.items():
            for value in values:
                self._check_deed(
                    user, Deed("impersonate", "authentication.k8s.io", f"userextras/{key}", "", value)
                )
        if is_account and not groups:
            groups = list(account_groups(ns))
        everybody = _UNAUTHENTICATED if name == ANONYMOUS.name else _AUTHENTICATED
        if everybody not in groups:
            groups.append(everybody)
        return User(name, headers.get("impersonate-uid", ""), tuple(groups), extra)

    # Whether.

    def authorize(self, user: User, target: Target) -> None:
        """Raises Forbidden if `user` may not do what `target` names."""
        self._check_deed(user, deed_of(target))

    def verdict(self, user: User, deed: Deed) -> tuple[bool, str]:
        """Whether `user` may do it, and why."""
        if not self.enforce and _AUTHENTICATED in user.groups:
            return True, ""
        return self.rbac.verdict(user, deed)

    def _check_deed(self, user: User, deed: Deed) -> None:
        allowed, why = self.verdict(user, deed)
        if not allowed:
            raise refusal(user, deed, why)

    def _refuse_escalation(self, attempt: Attempt) -> None:
        """Raises Forbidden if somebody grants more than they have."""
        resource, obj, user = attempt.resource, attempt.obj, attempt.user
        if not self.enforce or resource.group != GROUP or obj is None or MASTERS in user.groups:
            return
        if resource.plural in _ROLES:
            verb, deed_resource, name = "escalate", resource.plural, attempt.name
            aggregation = obj.get("aggregationRule")
            wanted = self.rbac.rules(obj) if aggregation is not None else list(obj.get("rules") or ())
        elif resource.plural in _BINDINGS:
            reference = obj["roleRef"]
            verb, name = "bind", reference["name"]
            deed_resource = "clusterroles" if reference["kind"] == "ClusterRole" else "roles"
            role = self.rbac.role(reference, attempt.ns)
            wanted = self.rbac.rules(role) if role is not None else []
        else:
            return
        if self.rbac.verdict(user, Deed(verb, GROUP, deed_resource, attempt.ns, name))[0]:
            return
        missing = lacking((g.rule for g in self.rbac.grants(user, attempt.ns)), wanted)
        if missing:
            groups = " ".join(f'"{g}"' for g in user.groups)
            rules = "\n".join(shown(r) for r in missing)
            raise Forbidden(
                f'{resource.group_resource} "{attempt.name}" is forbidden: user "{user.name}" (groups=[{groups}]) is '
                f"attempting to grant RBAC permissions not currently held:\n{rules}",
                details=Details(name=attempt.name, group=resource.group, kind=resource.plural),
            )


def account_groups(ns: str) -> tuple[str, str]:
    """The groups of service accounts in `ns`."""
    return ("system:serviceaccounts", f"system:serviceaccounts:{ns}")


def refusal(user: User, deed: Deed, why: str = "") -> Forbidden:
    """403 as Kubernetes words it."""
    tail = f": {why}" if why else ""
    if deed.path:
        return Forbidden(
            f'forbidden: User "{user.name}" cannot {deed.verb} path "{deed.path}"{tail}', details=Details()
        )
    plural = deed.resource.partition("/")[0]
    full = f"{plural}.{deed.group}" if deed.group else plural
    what = f'{full} "{deed.name}"' if deed.name else full
    where = f'in the namespace "{deed.ns}"' if deed.ns else "at the cluster scope"
    return Forbidden(
        f'{what} is forbidden: User "{user.name}" cannot {deed.verb} resource "{deed.resource}" in API group '
        f'"{deed.group}" {where}{tail}',
        details=Details(name=deed.name, group=deed.group, kind=plural),
    )


def create_default_roles(parts: Parts) -> None:
    """Stores the roles and bindings that every Kubernetes starts with, unless they are there already."""
    raw = files("kruise_rollouts.sandbox").joinpath("data/rbac.json").read_bytes()
    objects: list[Any] = msgspec.json.decode(raw)
    rbac = Rbac(parts.store)
    for obj in objects:
        plural = f"{obj['kind'].lower()}s"
        if parts.store.get(GROUP, plural, "", obj["metadata"]["name"]) is None:
            created = timestamp(parts.clock.now())
            meta = {**obj["metadata"], "uid": new_uid(parts.random), "creationTimestamp": created}
            parts.store.create(GROUP, plural, {**obj, "metadata": meta})
    write_aggregated(parts, rbac)


def write_aggregated(parts: Parts, rbac: Rbac) -> None:
    """Writes the rules of aggregated roles into them, for whoever reads them."""
    changed = True
    while changed:
        changed = False
        for role in parts.store.list(GROUP, "clusterroles"):
            if role.get("aggregationRule") is None:
                continue
            rules = rbac.rules(role)
            entry = parts.store.entry(GROUP, "clusterroles", "", role["metadata"]["name"])
            if entry is not None and rules != role.get("rules"):
                parts.store.update(GROUP, "clusterroles", {**role, "rules": rules}, entry)
                changed = True
