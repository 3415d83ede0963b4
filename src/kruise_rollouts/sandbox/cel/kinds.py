"""Kubernetes' own CEL types: urls, quantities, addresses, versions, formats."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from fractions import Fraction
from typing import TypeAlias
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from msgspec import Struct

from kruise_rollouts.kube.effects import Json
from kruise_rollouts.kube.quantity import parse_quantity

from .functions import function, matches, method
from .values import NONE, CelError, Optional

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

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
