"""What names, labels, selectors, numbers and addresses may be, wherever they stand in a built-in kind.

Every function yields the causes against one value at `path`; none if it is fine.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import TypeAlias

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.sandbox.custom.value_check import forbidden, invalid, required, unsupported
from kruise_rollouts.sandbox.metadata import LABEL_RULE, SUBDOMAIN_RULE

Causes: TypeAlias = Iterator[Cause]

MAX_INT32 = 2**31 - 1
IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_RFC_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PORT_NAME = re.compile(r"[-a-z0-9]+")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ENV = re.compile(r"[ -<>-~]+")
_HEADER = re.compile(r"[-A-Za-z0-9]+")
_PERCENT = re.compile(r"[0-9]+%")
RFC_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
NAME_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
CONFIG_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
ENV_RULE = "a valid environment variable name must consist only of printable ASCII characters other than '='"
HEADER_RULE = (
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
    "validation is '[-A-Za-z0-9]+')"
)
PERCENT_RULE = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)


def not_found(path: str, value: str) -> Cause:
    return Cause("FieldValueNotFound", f'Not found: "{value}"', path)


def too_long_text(path: str, limit: int) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", path)


def dns_label(path: str, value: str) -> Causes:
    """A lowercase RFC 1123 label."""
    if len(value) > 63:
        yield invalid(path, value, "must be no more than 63 characters")
    if not _LABEL.fullmatch(value):
        dotted = "." in value and _SUBDOMAIN.fullmatch(value)
        yield invalid(path, value, "must not contain dots" if dotted else LABEL_RULE)


def rfc_1035(path: str, value: str) -> Causes:
    if len(value) > 63:
        yield invalid(path, value, "must be no more than 63 characters")
    if not _RFC_1035.fullmatch(value):
        yield invalid(path, value, RFC_1035_RULE)


def subdomain(path: str, value: str) -> Causes:
    """A lowercase RFC 1123 subdomain."""
    if len(value) > 253:
        yield invalid(path, value, "must be no more than 253 characters")
    if not _SUBDOMAIN.fullmatch(value):
        yield invalid(path, value, SUBDOMAIN_RULE)


def qualified(path: str, key: str) -> Causes:
    """A name with or without a prefix, like a label's key."""
    if key.count("/") > 1:
        rule = f"a qualified name {NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        yield invalid(path, key, rule)
        return
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        yield invalid(path, key, "prefix part must be non-empty")
    elif slash:
        for cause in subdomain(path, prefix):
            yield invalid(path, key, f"prefix part {cause.message.partition(': ')[2].partition(': ')[2]}")
    if not name:
        yield invalid(path, key, "name part must be non-empty")
    elif len(name) > 63:
        yield invalid(path, key, "name part must be no more than 63 characters")
    if not _NAME_PART.fullmatch(name):
        yield invalid(path, key, f"name part {NAME_RULE}")


def label_value(path: str, value: str) -> Causes:
    if len(value) > 63:
        yield invalid(path, value, "must be no more than 63 bytes")
    if value and not _NAME_PART.fullmatch(value):
        yield invalid(path, value, VALUE_RULE)


def labels(path: str, given: JsonObject | None) -> Causes:
    for key, value in sorted((given or {}).items()):
        yield from qualified(path, key)
        yield from label_value(path, value)


def selector(path: str, given: JsonObject | None, *, values: bool = True) -> Causes:
    """A label selector. `values`: values of expressions have to be label values."""
    if not given:
        return
    yield from labels(f"{path}.matchLabels", given.get("matchLabels"))
    for index, term in enumerate(given.get("matchExpressions") or ()):
        yield from _requirement(f"{path}.matchExpressions[{index}]", term, values=values)


def _requirement(path: str, term: JsonObject, *, values: bool) -> Causes:
    operator, given = term.get("operator", ""), term.get("values") or []
    if operator in ("In", "NotIn"):
        if not given:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if given:
            yield forbidden(
                f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            )
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    yield from qualified(f"{path}.key", term.get("key", ""))
    if values:
        for index, value in enumerate(given):
            yield from label_value(f"{path}.values[{index}]", value)


def selects(given: JsonObject, candidate: JsonObject) -> bool:
    """Whether a label selector, not empty, matches the labels `candidate`."""
    if any(candidate.get(k) != v for k, v in (given.get("matchLabels") or {}).items()):
        return False
    return all(_meets(term, candidate) for term in given.get("matchExpressions") or ())


def _meets(term: JsonObject, candidate: JsonObject) -> bool:
    key, given = term.get("key", ""), term.get("values") or ()
    match term.get("operator"):
        case "In":
            return key in candidate and candidate[key] in given
        case "NotIn":
            return key not in candidate or candidate[key] not in given
        case "Exists":
            return key in candidate
        case "DoesNotExist":
            return key not in candidate
    return False


def not_negative(path: str, value: int | None) -> Causes:
    if value is not None and value < 0:
        yield invalid(path, value, NOT_NEGATIVE)


def port(path: str, value: int) -> Causes:
    if not 1 <= value <= 65535:
        yield invalid(path, value, "must be between 1 and 65535, inclusive")


def port_name(path: str, value: str) -> Causes:
    if len(value) > 15:
        yield invalid(path, value, "must be no more than 15 characters")
    if not _PORT_NAME.fullmatch(value):
        yield invalid(path, value, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        yield invalid(path, value, "must contain at least one letter (a-z)")
    if "--" in value:
        yield invalid(path, value, "must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        yield invalid(path, value, "must not begin or end with a hyphen")


def port_or_name(path: str, value: Json) -> Causes:
    if isinstance(value, str):
        yield from port_name(path, value)
    else:
        yield from port(path, value or 0)


def one_of(path: str, value: Json, allowed: tuple[str, ...]) -> Causes:
    """One of `allowed`, given."""
    if not value:
        yield required(path)
    elif value not in allowed:
        yield unsupported(path, value, allowed)


def config_key(path: str, key: str) -> Causes:
    """A key of a ConfigMap or Secret."""
    if len(key) > 253:
        yield invalid(path, key, "must be no more than 253 characters")
    if not _KEY.fullmatch(key):
        yield invalid(path, key, CONFIG_KEY_RULE)
    elif key == ".":
        yield invalid(path, key, "must not be '.'")
    elif key == "..":
        yield invalid(path, key, "must not be '..'")
    elif key.startswith(".."):
        yield invalid(path, key, "must not start with '..'")


def env_name(path: str, name: str) -> Causes:
    if not _ENV.fullmatch(name):
        yield invalid(path, name, ENV_RULE)


def header_name(path: str, name: str) -> Causes:
    if not _HEADER.fullmatch(name):
        yield invalid(path, name, HEADER_RULE)


def ip(path: str, value: str) -> Causes:
    if not is_ip(value):
        yield invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")


def is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def int_or_percent(path: str, value: Json) -> Causes:
    """A count, or a percentage of any size."""
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            yield invalid(path, value, PERCENT_RULE)
    else:
        yield from not_negative(path, value)


def at_most_all(path: str, value: Json) -> Causes:
    """No percentage above 100."""
    if isinstance(value, str) and _PERCENT.fullmatch(value) and int(value[:-1]) > 100:
        yield invalid(path, value, "must not be greater than 100%")


def is_zero(value: Json) -> bool:
    """Whether a count or percentage is none at all; what cannot be read is not."""
    if isinstance(value, str):
        return bool(_PERCENT.fullmatch(value)) and int(value[:-1]) == 0
    return not value


def quantity_not_negative(path: str, value: str) -> Causes:
    if parse_quantity(value) < 0:
        yield invalid(path, value, NOT_NEGATIVE)


def unchanged(path: str, new: Json, old: Json, why: str = IMMUTABLE) -> Causes:
    if new != old:
        yield invalid(path, new, why)
