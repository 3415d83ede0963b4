"""Admission as a whole: built-in plug-ins and webhooks, in Kubernetes' order.

`mutate` runs first: built-in plug-ins, then mutating webhooks by the name of their configuration, then whoever must
see again what a later one changed. `check` follows once the object is complete: policies, all validating webhooks at
once, built-in checks and quotas last. `install` puts both into a server's hooks.
"""

from __future__ import annotations

import asyncio

import msgspec

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError, Cause
from kruise_rollouts.sandbox.cel.values import CelError
from kruise_rollouts.sandbox.pipeline import Attempt, Parts
from kruise_rollouts.sandbox.resources import Resource
from kruise_rollouts.sandbox.rules import new_uid
from kruise_rollouts.sandbox.subresources import view_of

from . import plugins as builtin_admission
from .callers import Caller, NoCaller
from .policies import Policies, namespace_of
from .webhook_match import Hook, parse_hooks
from .webhook_rules import default_webhooks, validate_webhooks
from .webhooks import CallError, Denied, Verdict, apply_patch, ask, fitted, internal, no_dry_run, review_of

_GROUP = "admissionregistration.k8s.io"


class Admission:
    """Decides about the attempts of one server."""

    def __init__(self, parts: Parts, caller: Caller | None = None) -> None:
        self._parts = parts
        self.caller: Caller = caller if caller is not None else NoCaller()
        self._policies = Policies(parts)
        self._parsed: dict[int, tuple[JsonObject, tuple[Hook, ...]]] = {}  # by id of the configuration

    def install(self) -> None:
        """Joins in at the server's hooks; configurations of webhooks are completed and checked from now on."""
        hooks = self._parts.hooks
        hooks.mutate, hooks.check = self.mutate, self.check
        prepare, validate = hooks.prepare, hooks.validate

        def prepare_webhooks(resource: Resource, obj: JsonObject) -> JsonObject:
            return default_webhooks(obj) if _configures(resource) else prepare(resource, obj)

        def validate_webhooks_too(
            resource: Resource, new: JsonObject, old: JsonObject | None, subresource: str
        ) -> tuple[Cause, ...]:
            if _configures(resource):
                return validate_webhooks(new)
            return validate(resource, new, old, subresource)

        hooks.prepare, hooks.validate = prepare_webhooks, validate_webhooks_too

    async def mutate(self, attempt: Attempt) -> tuple[JsonObject | None, tuple[str, ...]]:
        """The object as it should be stored, and warnings. Raises ApiError to refuse."""
        attempt = self._completed(attempt)
        hooks = self._hooks(mutating=True)
        if not hooks:
            return attempt.obj, ()
        live = attempt
        attempt = _shown(attempt)
        attempt, warnings = await self._ask_in_turn(attempt, hooks)
        return _unshown(live, attempt), fitted(warnings)

    def _completed(self, attempt: Attempt) -> Attempt:
        obj = builtin_admission.mutate(attempt, self._parts.store, self._parts.random)
        return attempt if obj is attempt.obj else msgspec.structs.replace(attempt, obj=obj)

    async def _ask_in_turn(self, attempt: Attempt, hooks: tuple[Hook, ...]) -> tuple[Attempt, list[str]]:
        """The attempt after all mutating webhooks; those that want it are asked again about later changes."""
        warnings: list[str] = []
        again: list[Hook] = []  # asked before the last change was made
        asked: list[Hook] = []
        first = attempt.obj
        for hook in hooks:
            matched = self._matches(hook, attempt)
            if matched is None:
                continue
            before = attempt.obj
            attempt, said = await self._mutated_by(hook, attempt, matched)
            warnings += said
            if attempt.obj != before:
                again += [h for h in asked if h not in again]
            if hook.reinvoked:
                asked.append(hook)
        if attempt.obj == first or attempt.operation == "DELETE":
            return attempt, warnings
        completed = self._completed(attempt)
        if completed is not attempt and completed.obj != attempt.obj:
            attempt, again = completed, asked
        for hook in asked:
            matched = self._matches(hook, attempt) if hook in again else None
            if matched is not None:
                attempt, said = await self._mutated_by(hook, attempt, matched)
                warnings += said
        return attempt, warnings

    async def _mutated_by(
        self, hook: Hook, attempt: Attempt, matched: Resource
    ) -> tuple[Attempt, tuple[str, ...]]:
        seen = await self._converted(attempt, matched)
        verdict = await self._verdict(hook, seen, matched)
        if verdict.patch is None or seen.obj is None:
            return attempt, verdict.warnings
        obj = apply_patch(seen.obj, verdict.patch)
        if matched is not attempt.resource:
            obj = (await self._parts.convert([obj], attempt.resource, attempt.resource.api_version))[0]
        return msgspec.structs.replace(attempt, obj=obj), verdict.warnings

    async def check(self, attempt: Attempt) -> tuple[str, ...]:
        """Warnings. Raises ApiError to refuse."""
        warnings: list[str] = []
        shown = _shown(attempt)
        if attempt.operation == "DELETE":
            builtin_admission.check(attempt, self._parts.store)
            mutating = self._hooks(mutating=True)
            if mutating:
                warnings += (await self._ask_in_turn(shown, mutating))[1]
        if self._policies.exist:
            warnings += await self._policies.check(shown)
        hooks = self._hooks(mutating=False)
        if hooks:
            warnings += await self._ask_all(shown, hooks)
        if attempt.operation != "DELETE":
            builtin_admission.check(attempt, self._parts.store)
        return fitted(warnings)

    async def _ask_all(self, attempt: Attempt, hooks: tuple[Hook, ...]) -> list[str]:
        """Asks all that match at once; the first refusal in order wins, after all have answered."""
        wanted = [(h, m) for h in hooks if (m := self._matches(h, attempt)) is not None]

        async def one(hook: Hook, matched: Resource) -> Verdict | ApiError:
            try:
                return await self._verdict(hook, await self._converted(attempt, matched), matched)
            except ApiError as error:
                return error

        answers = await asyncio.gather(*(one(h, m) for h, m in wanted))
        refusals = [a for a in answers if isinstance(a, ApiError)]
        warnings = [w for a in answers if isinstance(a, Verdict) for w in a.warnings]
        if refusals:
            if isinstance(refusals[0], Denied):
                refusals[0].refusal_warnings += tuple(warnings)
            raise refusals[0]
        return warnings

    async def _verdict(self, hook: Hook, attempt: Attempt, matched: Resource) -> Verdict:
        if attempt.dry_run and not hook.dry_run:
            raise no_dry_run(hook)
        review = review_of(hook, attempt, matched, new_uid(self._parts.random))
        try:
            return await ask(hook, review, self.caller)
        except CallError as error:
            if hook.fails:
                raise internal(f'failed calling webhook "{hook.name}": {error}') from error
            return Verdict()

    async def _converted(self, attempt: Attempt, matched: Resource) -> Attempt:
        """The attempt with its objects in the version of `matched`."""
        if matched.api_version == attempt.resource.api_version or attempt.subresource == "scale":
            return attempt
        objects = [o for o in (attempt.obj, attempt.old) if o is not None]
        shown = iter(await self._parts.convert(objects, attempt.resource, matched.api_version))
        obj = next(shown) if attempt.obj is not None else None
        old = next(shown) if attempt.old is not None else None
        return msgspec.structs.replace(attempt, obj=obj, old=old)

    def _hooks(self, *, mutating: bool) -> tuple[Hook, ...]:
        plural = "mutatingwebhookconfigurations" if mutating else "validatingwebhookconfigurations"
        found = self._parts.store.list(_GROUP, plural)  # by name
        return tuple(h for c in found for h in self._parse(c, mutating)) if found else ()

    def _parse(self, configuration: JsonObject, mutating: bool) -> tuple[Hook, ...]:
        known = self._parsed.get(id(configuration))
        if known is not None and known[0] is configuration:
            return known[1]
        if len(self._parsed) > 256:
            self._parsed.clear()
        hooks = parse_hooks(configuration, mutating=mutating)
        self._parsed[id(configuration)] = (configuration, hooks)
        return hooks

    def _matches(self, hook: Hook, attempt: Attempt) -> Resource | None:
        """The resource as `hook` wants to see it; None if it is not to be asked. Raises Forbidden."""
        matched = hook.reach.matched(attempt, self._parts.registry)
        if matched is None or not hook.reach.selects(attempt, namespace_of(attempt, self._parts.store)):
            return None
        if hook.conditions and not self._conditions_hold(hook, attempt, matched):
            return None
        return matched

    def _conditions_hold(self, hook: Hook, attempt: Attempt, matched: Resource) -> bool:
        scope = {
            "object": attempt.obj,
            "oldObject": attempt.old,
            "request": review_of(hook, attempt, matched, "")["request"],
            "authorizer": {},
        }
        failed = ""
        for condition in hook.conditions:
            try:
                if condition.program is None:
                    raise CelError("compilation failed")
                if condition.program.evaluate(scope) is not True:
                    return False
            except CelError as error:
                failed = failed or f"expression '{condition.source}' resulted in error: {error}"
        if failed and hook.fails:
            raise builtin_admission.forbidden(attempt, failed)
        return not failed


def _configures(resource: Resource) -> bool:
    return resource.group == _GROUP and resource.plural.endswith("webhookconfigurations")


def _shown(attempt: Attempt) -> Attempt:
    """The attempt with its objects as the subresource shows them."""
    if attempt.subresource != "scale":
        return attempt
    view = view_of(attempt.resource, attempt.subresource)
    if view is None:
        return attempt
    return msgspec.structs.replace(
        attempt,
        obj=view.read(attempt.obj) if attempt.obj is not None else None,
        old=view.read(attempt.old) if attempt.old is not None else None,
    )


def _unshown(live: Attempt, attempt: Attempt) -> JsonObject | None:
    """The whole object after what the subresource shows has been changed."""
    view = view_of(live.resource, live.subresource) if live.subresource == "scale" else None
    if view is None or live.obj is None or attempt.obj is None:
        return attempt.obj
    return view.write(live.obj, attempt.obj)
