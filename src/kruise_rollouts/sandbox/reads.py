"""Get and list: consistent pages, exact and not-older-than versions."""

from __future__ import annotations

import base64
import string
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import BadRequest, Cause, Gone, InternalError
from kruise_rollouts.sandbox.wire.bodies import BadBody, decode_json

from .pipeline import Parts
from .refusals import invalid_options, not_allowed, not_found, not_supported, too_large_version
from .request import Call, Options
from .selectors import Requirement, matches_fields, matches_labels, parse_fields, parse_labels
from .store import Entry
from .subresources import view_of

EXPIRED = "The resourceVersion for the provided list is too old."
EXPIRED_PAGE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


PAGED = timedelta(minutes=5)  # so long the rest of a list can be asked for as it was
FORGOTTEN = timedelta(hours=1)  # after this nobody asks any more


class PageExpired(Gone):
    """A continue token too old to be honoured; `token` continues without consistency."""

    token = ""


class Page(Struct, frozen=True):
    """A list, or a part of one."""

    entries: tuple[Entry, ...]
    rv: int
    continue_token: str = ""  # "": this is the end
    remaining: int | None = None  # None: not known (a selector was given)

    @property
    def meta(self) -> JsonObject:
        out: JsonObject = {"resourceVersion": str(self.rv)}
        if self.continue_token:
            out["continue"] = self.continue_token
            if self.remaining:
                out["remainingItemCount"] = self.remaining
        return out


class _Token(Struct, omit_defaults=True):
    """Where a list goes on; the format clients see in Kubernetes."""

    v: str = ""
    rv: int = 0
    start: str = ""


def token_of(rv: int, after: str) -> str:
    raw = msgspec.json.encode({"v": "meta.k8s.io/v1", "rv": rv, "start": after + "\0"})
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


_BASE64 = frozenset(string.ascii_letters + string.digits + "-_")


def _read_token(text: str) -> _Token:
    invalid = "invalid continue token: continue key is not valid"
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        wrong = next((i for i, c in enumerate(text) if c not in _BASE64), len(text) // 4 * 4)
        raise BadRequest(f"{invalid}: illegal base64 data at input byte {wrong}") from None
    try:
        token = msgspec.convert(decode_json(raw), type=_Token)
    except (BadBody, msgspec.MsgspecError) as bad:
        raise BadRequest(f"{invalid}: {bad}") from None
    if token.v != "meta.k8s.io/v1":
        raise BadRequest("invalid continue token: continue key is not valid: server does not recognize this encoded "
                         f"version {token.v}")  # fmt: skip
    return token


def version_of(text: str, *, listing: bool) -> int:
    """A resourceVersion parameter; 0 for "". Raises BadRequest."""
    if text.isascii() and text.isdigit():
        return int(text)
    if not text:
        return 0
    parsed = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
    if listing:
        raise BadRequest(f"invalid resource version: {parsed}")
    raise InternalError(parsed, reason="")


_MATCHES = ("Exact", "NotOlderThan", "")


def check_list_options(options: Options, *, watching: bool) -> None:
    """Raises Invalid for parameters that contradict each other."""
    match, rv = options.resource_version_match, options.resource_version

    def refuse(field: str, why: str, *more: Cause) -> None:
        raise invalid_options("ListOptions", Cause("FieldValueForbidden", f"Forbidden: {why}", field), *more)

    if options.send_initial_events is not None:
        if not watching:
            refuse("sendInitialEvents", "sendInitialEvents is forbidden for list")
        if match != "NotOlderThan":
            unknown = not_supported("resourceVersionMatch", f'"{match}"', ("NotOlderThan",))
            refuse(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                *([unknown] if match else []),
            )
        return
    if watching and options.continue_token and rv in ("", "0"):
        refuse("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
    if not match:
        return
    if watching:
        other = match if match != "NotOlderThan" else ""
        refuse(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            *([not_supported("resourceVersionMatch", f'"{other}"', ("NotOlderThan",))] if other else []),
        )
    if not rv:
        unknown = not_supported("resourceVersionMatch", f'"{match}"', _MATCHES)
        refuse(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
            *([] if match in _MATCHES else [unknown]),
        )
    if options.continue_token:
        refuse("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
    if match not in _MATCHES:
        raise invalid_options("ListOptions", not_supported("resourceVersionMatch", f'"{match}"', _MATCHES))
    if match == "Exact" and rv == "0":
        refuse("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')


class Filter(Struct, frozen=True):
    """Which objects of a resource a list or watch is about."""

    ns: str
    labels: tuple[object, ...]
    fields: tuple[object, ...]
    name: str = ""  # not "": only this one

    def passes(self, obj: JsonObject) -> bool:
        if self.name and obj["metadata"]["name"] != self.name:
            return False
        return (not self.labels or matches_labels(self.labels, obj)) and (  # type: ignore[arg-type]
            not self.fields or matches_fields(self.fields, obj)  # type: ignore[arg-type]
        )

    @property
    def only(self) -> str:
        """The one name that can pass; "" if there are more."""
        named = (
            r.values[0]
            for r in self.fields
            if isinstance(r, Requirement) and (r.key, r.op) == ("metadata.name", "in")
        )
        return self.name or next(named, "")

    @property
    def whole(self) -> bool:
        """Whether no selector was given."""
        return not self.labels and not self.fields and not self.name


def filter_of(call: Call) -> Filter:
    """The selectors of a call, parsed. Raises BadRequest."""
    options = call.options
    named = call.name if call.verb == "watch" else ""
    labels = parse_labels(options.label_selector) if options.label_selector else ()
    fields = parse_fields(options.field_selector, call.resource) if options.field_selector else ()
    return Filter(call.ns if call.resource.namespaced else "", labels, fields, named)


class Reader:
    """The two reading verbs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._paged: dict[int, datetime] = {}  # versions that are being paged through, with when that began

    async def get(self, call: Call) -> JsonObject:
        """The object, or what the subresource shows of it. Raises NotFound."""
        parts, resource = self._parts, call.resource
        asked = version_of(call.options.resource_version, listing=False)
        if asked > parts.store.rv:
            raise too_large_version(asked, parts.store.rv)
        view = view_of(resource, call.subresource)
        if view is None:
            raise not_allowed()
        return view.read(await parts.load(self.entry(call), resource))

    def entry(self, call: Call) -> Entry:
        """The stored object a call names. Raises NotFound."""
        resource = call.resource
        ns = call.ns if resource.namespaced else ""
        entry = self._parts.store.entry(*resource.storage, ns, call.name)
        if entry is None:
            raise not_found(resource, call.name)
        return entry

    async def list(self, call: Call) -> JsonObject:
        """The whole list object, items in the version asked for."""
        page = self.page(call)
        items = [await self._parts.load(e, call.resource) for e in page.entries]
        return {
            "kind": call.resource.list_kind,
            "apiVersion": call.resource.api_version,
            "metadata": page.meta,
            "items": items,
        }

    def page(self, call: Call) -> Page:
        """The entries a list answers with. Raises BadRequest, Invalid, Gone, PageExpired, ApiError 504."""
        page = self._page(call)
        if page.continue_token and (not call.options.continue_token or page.rv not in self._paged):
            now = self._parts.clock.now()
            self._paged = {rv: at for rv, at in self._paged.items() if now - at < FORGOTTEN}
            self._paged[page.rv] = now
        return page

    def _is_expired(self, rv: int) -> bool:
        """Whether the list of that version has been left alone for too long; the newest version never is."""
        began = self._paged.get(rv)
        return began is not None and rv < self._parts.store.rv and self._parts.clock.now() - began >= PAGED

    def _page(self, call: Call) -> Page:
        options, store = call.options, self._parts.store
        check_list_options(options, watching=False)
        wanted = filter_of(call)
        table = store.table(*call.resource.storage)
        if options.continue_token:
            return self._next_page(call, wanted)
        asked = version_of(options.resource_version, listing=True)
        if asked > store.rv:
            raise too_large_version(asked, store.rv)
        # A version with a limit means exactly that version, unless it is 0 or the match says otherwise.
        exact = options.resource_version_match == "Exact"
        if exact or (asked and options.limit and not options.resource_version_match):
            try:
                return _cut(table.at(asked, wanted.ns), wanted, asked, options)
            except Gone:
                raise Gone(EXPIRED) from None
        if options.resource_version == "0":  # whatever is there, whole: a limit is not honoured then
            options = msgspec.structs.replace(options, limit=0)
        return _cut(table.candidates(wanted.ns, wanted.only), wanted, store.rv, options)

    def _next_page(self, call: Call, wanted: Filter) -> Page:
        options, store = call.options, self._parts.store
        token = _read_token(options.continue_token)
        if options.resource_version not in ("", "0"):
            raise BadRequest("specifying resource version is not allowed when using continue")
        prefix = f"{wanted.ns}/" if wanted.ns else ""
        start, table = prefix + token.start, store.table(*call.resource.storage)
        if token.rv < 0:
            rv, entries = store.rv, table.range(wanted.ns)
        else:
            try:
                if self._is_expired(token.rv):
                    raise Gone(EXPIRED)
                rv, entries = token.rv, iter(table.at(token.rv, wanted.ns))
            except Gone:
                expired = PageExpired(EXPIRED_PAGE)
                expired.token = token_of(-1, token.start.rstrip("\0"))
                raise expired from None
        return _cut((e for e in entries if e.key >= start), wanted, rv, options)


def _cut(entries: Iterable[Entry], wanted: Filter, rv: int, options: Options) -> Page:
    """The first `limit` entries that pass, and where the rest begins."""
    limit = options.limit
    if limit <= 0:
        if wanted.whole:
            return Page(tuple(entries), rv)
        return Page(tuple(e for e in entries if wanted.passes(e.obj)), rv)
    passing = [e for e in entries if wanted.passes(e.obj)]
    if len(passing) <= limit:
        return Page(tuple(passing), rv)
    last = passing[limit - 1].key
    relative = last[len(wanted.ns) + 1 :] if wanted.ns else last
    remaining = len(passing) - limit if wanted.whole else None
    return Page(tuple(passing[:limit]), rv, token_of(rv, relative), remaining)
