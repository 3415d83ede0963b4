"""The API server: one pipeline for HTTP requests (`respond`) and for this process (`call`).

authenticate, authorise, find the resource, read options and body, run the verb (reads.py, writes.py, deletion.py,
watch.py), encode the answer. Other parts join in through `hooks` (pipeline.py); sandbox.py fills them.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import msgspec

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError, BadRequest, Details, InternalError, NotAcceptable
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.runtime.log import log_of
from kruise_rollouts.sandbox.admission.webhooks import refusal_warnings
from kruise_rollouts.sandbox.wire.answers import Answers, as_asked, indented, is_for_eyes, warnings_of
from kruise_rollouts.sandbox.wire.body import check_options, decode_body
from kruise_rollouts.sandbox.wire.negotiate import ACCEPTED, form_of

from .deletion import Deleter
from .discovery import Discovery, page_not_found
from .pipeline import Hooks, Parts
from .pod_subresources import PodActions, no_containers
from .reads import PageExpired, Reader
from .refusals import no_such_path, not_allowed, not_found, status_body
from .request import SYSTEM, Call, Options, Request, Response, Target, User, options_of, route
from .resources import Registry, Resource, built_in
from .rules import NAMESPACES
from .store import Store
from .watch import Watcher
from .wording import quoted
from .writes import Writer

log = log_of(__name__)

_BODY_VERBS = ("create", "update", "patch")
# What a mistake of ours, or an object of a shape nobody thought of, ends in: this request fails, no other.
_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_NAMED_VERBS = ("get", "update", "patch", "delete")
_OF_ALL_NAMESPACES = ("list", "watch")
_STREAMS = ("log", "exec", "attach", "portforward", "proxy")


class Server:
    """Answers requests from the store."""

    def __init__(
        self,
        clock: Clock,
        *,
        store: Store | None = None,
        registry: Registry | None = None,
        hooks: Hooks | None = None,
        seed: int = 0,
    ) -> None:
        self.store = store or Store()
        self.registry = registry or built_in()
        self.hooks = hooks or Hooks()
        self.parts = Parts(self.store, self.registry, clock, Random(f"{seed}/{self.store.rv}"), self.hooks)
        self.reader = Reader(self.parts)
        self.writer = Writer(self.parts)
        self.deleter = Deleter(self.parts, self.reader)
        self.watcher = Watcher(self.parts)
        self.discovery = Discovery(self.registry)
        self._answers = Answers(self.parts, self.watcher)
        self._pods = PodActions(self.parts, self.deleter)
        self.hooks.subresources.setdefault(("pods", "binding"), self._pods.bind)
        self.hooks.subresources.setdefault(("pods", "eviction"), self._pods.evict)
        self.hooks.virtual.setdefault(("", "bindings"), self._pods.bind_named)

    async def call(
        self,
        verb: str,
        resource: Resource,
        ns: str,
        name: str,
        body: JsonObject | None = None,
        *,
        subresource: str = "",
        options: Options | None = None,
        user: User = SYSTEM,
        content_type: str = "application/merge-patch+json",
        owing: bool = False,
    ) -> JsonObject:
        """The answer to one verb, as an object (never to be changed). Raises ApiError.

        Not authorised again: who has the server in hand may do everything. Admission runs as for everybody, with
        `user`. `body` of a patch is the patch; `content_type` says which kind. `owing`: the answer need not show
        the latest managedFields, which is a third faster.
        """
        call = Call(
            verb,
            resource,
            ns,
            name,
            subresource,
            options or Options(),
            user,
            body,
            content_type=content_type,
            owing=owing and resource.api_version == resource.storage_version and self.store.journal is None,
        )
        return await self.run(call)

    async def run(self, call: Call) -> JsonObject:
        """The answer to a decoded request (all verbs but watch)."""
        resource = call.resource
        whole = self.hooks.virtual.get(resource.storage)
        if whole is not None and call.verb == "create":
            return await whole(call)
        if call.subresource:
            answer = self.hooks.subresources.get((resource.group_resource, call.subresource))
            if answer is not None:
                return await answer(call)
        match call.verb:
            case "get":
                return await self.reader.get(call)
            case "list":
                return await self.reader.list(call)
            case "create":
                return await self.writer.create(call)
            case "update":
                return await self.writer.update(call)
            case "patch":
                return await self.writer.patch(call)
            case "delete":
                return await self.deleter.delete(call)
            case "deletecollection":
                return await self.deleter.delete_collection(call)
        raise not_allowed()

    async def respond(self, request: Request) -> Response:
        """The answer to an HTTP request; a refusal is an answer too. Never raises ApiError."""
        answer = await self._answer(request)
        return indented(answer) if is_for_eyes(request) and request.path.startswith("/api") else answer

    async def _answer(self, request: Request) -> Response:
        warnings: list[str] = []
        try:
            return await self._respond(request, warnings)
        except ApiError as error:
            return as_asked(refusal(error, warnings), request.headers.get("accept", ""))
        except _BUGS as bug:
            log.error("request failed", method=request.method, path=request.path, bug=bug)
            return refusal(InternalError(f"Internal error occurred: {bug}", details=Details()))

    async def _respond(self, request: Request, warnings: list[str]) -> Response:
        target = route(request.method, request.path, request.query)
        user = request.user or self.hooks.authenticate(request.headers)
        self.hooks.authorize(user, target)
        if not target.plural:
            return self._elsewhere(request, target)
        if target.group and self.registry.is_foreign(target.group) and self._unknown(target):
            return page_not_found()
        call_of = self._resource(target)
        options = options_of(request.query, request.headers.get("user-agent", ""))
        form = form_of(request.headers.get("accept", ""), target.verb)
        if form.shape == "Table" and self._has_no_table(call_of, target.subresource):
            raise NotAcceptable(ACCEPTED)
        call = self._call(request, target, call_of, options, user, warnings)
        if call.subresource in _STREAMS:
            return self._stream(call)
        if call.verb == "watch":
            return await self._answers.watch(call, form)
        if call.verb == "list":
            return await self._answers.listed(call, self.reader.page(call), form)
        created = call.verb == "create" or (call.verb in ("update", "patch") and not self._exists(call))
        obj = await self.run(call)
        return await self._answers.one(call, obj, form, status=201 if created else 200)

    def _unknown(self, target: Target) -> bool:
        found = self.registry.find(target.group, target.version, target.plural)
        return found is None or not found.served

    def _has_no_table(self, resource: Resource, subresource: str) -> bool:
        """What is answered but never stored, reviews and tokens for example, has no columns."""
        whole = (resource.group_resource, subresource) in self.hooks.subresources
        return whole or resource.storage in self.hooks.virtual

    def _exists(self, call: Call) -> bool:
        ns = call.ns if call.resource.namespaced else ""
        return self.store.entry(*call.resource.storage, ns, call.name) is not None

    def _stream(self, call: Call) -> Response:
        """What would talk to a container: its log can be read, the rest is refused."""
        if call.subresource != "log":
            self.reader.entry(call)
            raise no_containers(call.resource, call.subresource)
        pod, container = self._pods.check_log(call)
        return Response(200, self.hooks.log(pod, container, call.query), "text/plain", warnings_of(call))

    def _resource(self, target: Target) -> Resource:
        """The resource, if it serves the verb. Raises NotFound, MethodNotAllowed."""
        found = self.registry.find(target.group, target.version, target.plural)
        if found is None or not found.served:
            raise no_such_path()
        if target.ns and not found.namespaced and found.storage != NAMESPACES:
            raise no_such_path()
        if target.subresource:
            sub = found.subresource(target.subresource)
            if sub is None:
                raise not_found(found, target.name) if found.custom else no_such_path()
            if target.verb not in sub.verbs:
                raise not_allowed()
        elif target.verb not in found.verbs or bool(target.name) != (target.verb in _NAMED_VERBS):
            if target.verb != "watch":  # the old form of a watch may name one object
                raise not_allowed()
        elif found.namespaced and not target.ns and target.verb not in _OF_ALL_NAMESPACES:
            raise no_such_path() if target.name else not_allowed()
        return found

    def _call(
        self,
        request: Request,
        target: Target,
        resource: Resource,
        options: Options,
        user: User,
        warnings: list[str],
    ) -> Call:
        """The request, decoded. What it is to be warned of is added to `warnings`, which a refusal tells as well."""
        if resource.warning:
            warnings.append(resource.warning)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        call = Call(
            verb=target.verb,
            resource=resource,
            ns=target.ns,
            name=target.name,
            subresource=target.subresource,
            options=options,
            user=user,
            content_type=content_type,
            query=request.query,
            warnings=warnings,
        )
        if target.subresource in _STREAMS:
            return call
        deleting = target.verb.startswith("delete")  # its options may be in the body
        if target.name in (".", ".."):
            raise BadRequest(f"Name parameter invalid: \"{target.name}\": may not be '{target.name}'")
        if target.verb in _BODY_VERBS:
            check_options(target.verb, call.options)
        if target.verb in _BODY_VERBS or (deleting and request.body):
            call = decode_body(call, request.body, self.hooks)
        if deleting:
            check_options(target.verb, call.options)
        return call

    def _elsewhere(self, request: Request, target: Target) -> Response:
        """Paths that are no resource: discovery, health, version, OpenAPI."""
        found = self.hooks.documents.get(request.path) if request.method == "GET" else None
        document = self.hooks.openapi(request) if request.path.startswith("/openapi") else None
        if document is not None:
            return document
        if found is not None:
            return found()
        return self.discovery.respond(request)


def refusal(error: ApiError, warnings: Iterable[str] = ()) -> Response:
    """The Status that a refused request is answered with."""
    metadata = {"continue": error.token} if isinstance(error, PageExpired) else None
    headers: tuple[tuple[str, str], ...] = ()
    if error.retry_after is not None:
        headers = (("Retry-After", str(int(error.retry_after))),)
    headers += tuple(
        ("Warning", f"299 - {quoted(w)}") for w in dict.fromkeys((*warnings, *refusal_warnings(error)))
    )
    return Response(error.code or 500, msgspec.json.encode(status_body(error, metadata)), headers=headers)
