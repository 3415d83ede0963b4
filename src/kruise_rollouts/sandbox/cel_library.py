"""Kubernetes' CEL libraries: strings, lists, regex, sets, urls, quantities, addresses, semver, formats."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from msgspec import Struct

from kruise_rollouts.kube.effects import Json
from kruise_rollouts.kube.quantity import parse_quantity

from .cel_functions import FUNCTIONS, call, function, matches, method, to_string
from .cel_values import NONE, CelError, Optional, compare, contains, equal, no_overload
from .patterns import PatternError, pattern_of

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# Strings.

_LOWER = str.maketrans({chr(c): chr(c + 32) for c in range(65, 91)})
_UPPER = str.maketrans({chr(c): chr(c - 32) for c in range(97, 123)})
method("lowerAscii", str)(lambda a: a.translate(_LOWER))
method("upperAscii", str)(lambda a: a.translate(_UPPER))
method("trim", str)(str.strip)
method("reverse", str)(lambda a: a[::-1])
method("indexOf", str, str)(lambda a, b: a.find(b))
method("indexOf", str, str, int)(lambda a, b, at: a.find(b, _within(a, at)))
method("lastIndexOf", str, str)(lambda a, b: a.rfind(b))
method("lastIndexOf", str, str, int)(lambda a, b, at: a.rfind(b, 0, _within(a, at) + len(b)))
method("replace", str, str, str)(lambda a, old, new: a.replace(old, new))
method("replace", str, str, str, int)(lambda a, old, new, n: a.replace(old, new, n))
method("substring", str, int)(lambda a, start: a[_within(a, start) :])
method("join", list)(lambda a: _join(a, ""))
method("split", str, str)(lambda a, separator: _split(a, separator, -1))
function("strings.quote", str)(lambda a: json.dumps(a, ensure_ascii=False))


def _within(text: str, at: int) -> int:
    if not 0 <= at <= len(text):
        raise CelError(f"index out of range: {at}")
    return at


def _join(items: list[Json], separator: str) -> str:
    if not all(isinstance(i, str) for i in items):
        raise no_overload()
    return separator.join(items)


method("join", list, str)(_join)


def _split(text: str, separator: str, limit: int) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        parts = list(text)
        return (
            parts if limit < 0 or limit >= len(parts) else [*parts[: limit - 1], "".join(parts[limit - 1 :])]
        )
    return text.split(separator) if limit < 0 else text.split(separator, limit - 1)


method("split", str, str, int)(_split)


@method("charAt", str, int)
def char_at(text: str, at: int) -> str:
    return text[_within(text, at) : at + 1]


@method("substring", str, int, int)
def substring(text: str, start: int, end: int) -> str:
    if start > end:
        raise CelError(f"invalid substring range. start: {start}, end: {end}")
    return text[_within(text, start) : _within(text, end)]


_VERB = re.compile(r"%(?:\.(\d+))?([a-zA-Z%])")


@method("format", str, list)
def format_text(template: str, args: list[Json]) -> str:
    rest = iter(args)

    def put(found: re.Match[str]) -> str:
        precision, verb = found.groups()
        if verb == "%":
            return "%"
        value = next(rest, rest)
        if value is rest:
            raise CelError(f"index {len(args)} out of range")
        return _formatted(verb, int(precision or 6), value)

    return _VERB.sub(put, template)


def _formatted(verb: str, precision: int, value: Json) -> str:
    match verb:
        case "s":
            return _shown(value)
        case "d" if isinstance(value, int) and not isinstance(value, bool):
            return str(int(value))
        case "f" if isinstance(value, int | float):
            return f"{value:.{precision}f}"
        case "e" if isinstance(value, int | float):
            return f"{value:.{precision}e}"
        case "b" | "o" | "x" | "X" if isinstance(value, int):
            return f"{int(value):{verb}}"
        case "x" | "X" if isinstance(value, str | bytes):
            raw = (value.encode() if isinstance(value, str) else value).hex()
            return raw if verb == "x" else raw.upper()
    raise CelError(f"could not parse formatting clause: unrecognized formatting clause {verb!r}")


def _shown(value: Json) -> str:
    match value:
        case None:
            return "null"
        case list():
            return "[" + ", ".join(_shown(v) for v in value) + "]"
        case dict():
            return (
                "{" + ", ".join(f"{_shown(k)}: {_shown(value[k])}" for k in sorted(value, key=_shown)) + "}"
            )
    return to_string(value)


# Regular expressions.

method("find", str, str)(lambda a, pattern: _find_all(a, pattern, 1)[0] if _find_all(a, pattern, 1) else "")
method("findAll", str, str)(lambda a, pattern: _find_all(a, pattern, -1))


def _find_all(text: str, pattern: str, limit: int) -> list[str]:
    try:
        found = [m.group() for m in pattern_of(pattern).finditer(text)]
    except PatternError as error:
        raise CelError(str(error)) from None
    return found if limit < 0 else found[:limit]


method("findAll", str, str, int)(_find_all)


# Lists and sets.

method("isSorted", list)(lambda a: all(compare(x, y) <= 0 for x, y in pairwise(a)))
method("min", list)(lambda a: _extreme(a, -1))
method("max", list)(lambda a: _extreme(a, 1))
method("indexOf", list, object)(lambda a, item: next((i for i, x in enumerate(a) if equal(x, item)), -1))
method("lastIndexOf", list, object)(
    lambda a, item: next((i for i in range(len(a) - 1, -1, -1) if equal(a[i], item)), -1)
)
method("reverse", list)(lambda a: a[::-1])
method("slice", list, int, int)(lambda a, start, end: a[start:end])
method("flatten", list)(lambda a: [y for x in a for y in (x if isinstance(x, list) else [x])])
function("lists.range", int)(lambda n: list(range(n)))
function("sets.contains", list, list)(lambda a, b: all(contains(x, a) for x in b))
function("sets.intersects", list, list)(lambda a, b: any(contains(x, a) for x in b))
function("sets.equivalent", list, list)(
    lambda a, b: all(contains(x, a) for x in b) and all(contains(x, b) for x in a)
)


@method("sum", list)
def sum_of(items: list[Json]) -> Json:
    out: Json = 0
    for index, item in enumerate(items):
        out = item if index == 0 else call(FUNCTIONS["+"], [out, item])
    return out


def _extreme(items: list[Json], sign: int) -> Json:
    if not items:
        raise CelError(f"{'max' if sign > 0 else 'min'} called on empty list")
    out = items[0]
    for item in items[1:]:
        if compare(item, out) * sign > 0:
            out = item
    return out


@method("distinct", list)
def distinct(items: list[Json]) -> list[Json]:
    out: list[Json] = []
    for item in items:
        if not contains(item, out):
            out.append(item)
    return out


@method("sort", list)
def sort(items: list[Json]) -> list[Json]:
    if any(compare(x, items[0]) not in (-1, 0, 1) for x in items):
        raise no_overload()
    return sorted(items)


# URLs.


class Url(Struct, frozen=True):
    parts: SplitResult


def _parse_url(text: str) -> Url | None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return Url(parts) if parts.scheme or text.startswith("/") else None


@function("url", str)
def url(text: str) -> Url:
    found = _parse_url(text)
    if found is None:
        raise CelError(
            f'URL parse error during conversion from string: parse "{text}": invalid URI for request'
        )
    return found


function("isURL", str)(lambda a: _parse_url(a) is not None)
method("getScheme", Url)(lambda a: a.parts.scheme)
method("getHost", Url)(lambda a: a.parts.netloc.rpartition("@")[2])
method("getHostname", Url)(lambda a: a.parts.hostname or "")
method("getPort", Url)(lambda a: str(a.parts.port or ""))
method("getEscapedPath", Url)(lambda a: quote(a.parts.path, safe="/%:@!$&'()*+,;=-._~"))
method("getQuery", Url)(lambda a: parse_qs(a.parts.query, keep_blank_values=True))

# Quantities.


class Quantity(Struct, frozen=True, order=True):
    amount: Fraction


def _maybe(parse: Callable[[str], Json], text: str) -> Json:
    try:
        return parse(text)
    except ValueError:
        return None


@function("quantity", str)
def quantity(text: str) -> Quantity:
    try:
        return Quantity(parse_quantity(text))
    except ValueError:
        raise CelError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        ) from None


@method("asInteger", Quantity)
def as_integer(a: Quantity) -> int:
    if a.amount.denominator != 1:
        raise CelError("cannot convert value to integer")
    return int(a.amount)


function("isQuantity", str)(lambda a: _maybe(parse_quantity, a) is not None)
method("sign", Quantity)(lambda a: (a.amount > 0) - (a.amount < 0))
method("isInteger", Quantity)(lambda a: a.amount.denominator == 1)
method("asApproximateFloat", Quantity)(lambda a: float(a.amount))
method("add", Quantity, Quantity)(lambda a, b: Quantity(a.amount + b.amount))
method("add", Quantity, int)(lambda a, b: Quantity(a.amount + b))
method("sub", Quantity, Quantity)(lambda a, b: Quantity(a.amount - b.amount))
method("sub", Quantity, int)(lambda a, b: Quantity(a.amount - b))

# Addresses.


@function("ip", str)
def ip(text: str) -> Address:
    found = _maybe(ipaddress.ip_address, text)
    if found is None or "%" in text:
        raise CelError(
            f'IP Address "{text}" parse error during conversion from string: ParseAddr("{text}"): unable to parse IP'
        )
    return found  # type: ignore[no-any-return]


@function("cidr", str)
def cidr(text: str) -> Network:
    found = _maybe(lambda t: ipaddress.ip_interface(t).network if "/" in t else None, text)
    if found is None:
        raise CelError(
            f"network address parse error during conversion from string: netip.ParsePrefix(\"{text}\"): no '/'"
        )
    return found  # type: ignore[no-any-return]


function("isIP", str)(lambda a: "%" not in a and _maybe(ipaddress.ip_address, a) is not None)
function("ip.isCanonical", str)(lambda a: str(ip(a)) == a)
function("isCIDR", str)(lambda a: "/" in a and _maybe(ipaddress.ip_interface, a) is not None)
for _version in (ipaddress.IPv4Address, ipaddress.IPv6Address):
    method("family", _version)(lambda a: a.version)
    method("isUnspecified", _version)(lambda a: a.is_unspecified)
    method("isLoopback", _version)(lambda a: a.is_loopback)
    method("isLinkLocalMulticast", _version)(
        lambda a: a in ipaddress.ip_network("224.0.0.0/24" if a.version == 4 else "ff02::/16")
    )
    method("isLinkLocalUnicast", _version)(lambda a: a.is_link_local)
    method("isGlobalUnicast", _version)(
        lambda a: not (a.is_unspecified or a.is_loopback or a.is_multicast or a.is_link_local)
    )
    function("string", _version)(str)
for _kind in (ipaddress.IPv4Network, ipaddress.IPv6Network):
    for _other in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        method("containsIP", _kind, _other)(lambda a, b: b in a)
    for _inner in (ipaddress.IPv4Network, ipaddress.IPv6Network):
        method("containsCIDR", _kind, _inner)(lambda a, b: a.version == b.version and b.subnet_of(a))
    method("containsIP", _kind, str)(lambda a, b: ip(b) in a)
    method("containsCIDR", _kind, str)(lambda a, b: a.version == cidr(b).version and cidr(b).subnet_of(a))
    method("ip", _kind)(lambda a: a.network_address)
    method("masked", _kind)(lambda a: a)
    method("prefixLength", _kind)(lambda a: a.prefixlen)
    function("string", _kind)(str)

# Semantic versions.

_SEMVER = re.compile(
    r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-.]+)?$"
)


class Semver(Struct, frozen=True, order=True):
    major: int
    minor: int
    patch: int
    # Sorts after any pre-release: (1,) against (0, identifiers).
    rank: tuple[int, tuple[tuple[int, int, str], ...]]


def _parse_semver(text: str) -> Semver | None:
    found = _SEMVER.match(text)
    if found is None:
        return None
    major, minor, patch, pre = found.groups()
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in (pre or "").split(".") if p)
    return Semver(int(major), int(minor), int(patch), (0 if parts else 1, parts))


@function("semver", str)
def semver(text: str) -> Semver:
    found = _parse_semver(text)
    if found is None:
        raise CelError("No Major.Minor.Patch elements found")
    return found


function("isSemver", str)(lambda a: _parse_semver(a) is not None)
method("major", Semver)(lambda a: a.major)
method("minor", Semver)(lambda a: a.minor)
method("patch", Semver)(lambda a: a.patch)


def _ordered(kind: type) -> None:
    method("compareTo", kind, kind)(lambda a, b: (a > b) - (a < b))
    method("isGreaterThan", kind, kind)(lambda a, b: a > b)
    method("isLessThan", kind, kind)(lambda a, b: a < b)


_ordered(Quantity)
_ordered(Semver)

# Named formats: format.dns1123Label().validate(x) is an optional list of complaints.


class Format(Struct, frozen=True):
    name: str
    pattern: str
    limit: int


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_FORMATS = {
    "dns1123Label": (f"^{_LABEL}$", 63),
    "dns1123Subdomain": (rf"^{_LABEL}(\.{_LABEL})*$", 253),
    "dns1035Label": ("^[a-z]([-a-z0-9]*[a-z0-9])?$", 63),
    "dns1123LabelPrefix": ("^[a-z0-9]([-a-z0-9]*)?$", 63),
    "dns1123SubdomainPrefix": (rf"^{_LABEL}(\.{_LABEL})*[-.]?$", 253),
    "dns1035LabelPrefix": ("^[a-z]([-a-z0-9]*)?$", 63),
    "qualifiedName": (rf"^({_LABEL}(\.{_LABEL})*/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$", 317),
    "labelValue": ("^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", 63),
}


def _named(name: str, pattern: str, limit: int) -> Format:
    found = Format(name, pattern, limit)
    function(f"format.{name}")(lambda: found)
    return found


_BY_NAME = {name: _named(name, pattern, limit) for name, (pattern, limit) in _FORMATS.items()}
function("format.named", str)(lambda a: Optional(True, _BY_NAME[a]) if a in _BY_NAME else NONE)


@method("validate", Format, str)
def validate(form: Format, text: str) -> Optional:
    if len(text) > form.limit:
        return Optional(True, [f"must be no more than {form.limit} characters"])
    return NONE if matches(text, form.pattern) else Optional(True, [f"must be a valid {form.name}"])
