"""Label values; selectors: of labels, as objects hold them and as requests write them, of fields, as requests do.

Which objects a selector is asked about, and what a field is, is the caller's matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class Operator(StrEnum):
    """How a requirement compares; the strings are those of matchExpressions."""

    IN = "In"
    NOT_IN = "NotIn"  # also met by an absent key
    EXISTS = "Exists"
    ABSENT = "DoesNotExist"


class Requirement(Struct, frozen=True, order=True):
    """One thing that must hold of a set of labels or fields."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def met_by(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.ABSENT:
                return self.key not in labels

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.ABSENT:
                return f"!{self.key}"
            case Operator.IN if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case _:
                return f"{self.key} {self.operator.lower()} ({','.join(sorted(self.values))})"


class Selector(Struct, frozen=True):
    """All requirements must hold; none selects everything. str() is the form requests carry."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.met_by(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, sorted(self.requirements)))


class SelectorError(ValueError):
    """A selector that cannot be read."""


def is_label_value(text: str) -> bool:
    """Whether a label may have this value; "" is one."""
    return _LABEL_VALUE.fullmatch(text) is not None


class _Expression(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def operator(self) -> str: ...
    @property
    def values(self) -> Sequence[str]: ...


class LabelSelector(Protocol):
    """A LabelSelector as a Struct of api/ holds it."""

    @property
    def match_labels(self) -> Mapping[str, str]: ...
    @property
    def match_expressions(self) -> Sequence[_Expression]: ...


def selector_of(selector: LabelSelector) -> Selector:
    """The requirements of a LabelSelector. Raises SelectorError for an operator there is not."""
    found = [Requirement(key, Operator.IN, (value,)) for key, value in selector.match_labels.items()]
    for expression in selector.match_expressions:
        try:
            operator = Operator(expression.operator)
        except ValueError as error:
            raise SelectorError(f"{expression.operator!r} is no operator of a label selector") from error
        found.append(Requirement(expression.key, operator, tuple(expression.values)))
    return Selector(tuple(found))


def parse_selector(text: str) -> Selector:
    """The requirements of a label selector as requests and kubectl write it: `a=b,c!=d,e in (f,g),h,!i`.

    Raises SelectorError.
    """
    found = []
    for term in _split(text):
        requirement = _requirement(term)
        if requirement is None:
            raise SelectorError(f"{term!r} in the selector {text!r} cannot be understood")
        found.append(requirement)
    return Selector(tuple(found))


def parse_fields(text: str) -> Selector:
    """The requirements of a field selector: `metadata.name=x,status.phase!=Running`, `\\` before , = and \\.

    Raises SelectorError.
    """
    found = []
    for term in filter(None, re.split(r"(?<!\\),", text)):
        parts = _FIELD.fullmatch(term)
        if parts is None:
            raise SelectorError(f"{term!r} in the field selector {text!r} cannot be understood")
        key, operator, value = parts.groups()
        wanted = Operator.NOT_IN if operator == "!=" else Operator.IN
        found.append(Requirement(key, wanted, (re.sub(r"\\(.)", r"\1", value),)))
    return Selector(tuple(found))


_FIELD = re.compile(r"\s*([\w.\[\]/-]+)\s*(==|!=|=)((?:[^\\,=]|\\.)*)", re.ASCII)
_KEY = r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)?"
LABEL_LENGTH = 63  # characters of a value
_LABEL_VALUE = re.compile(_VALUE, re.ASCII)
_EQUALITY = re.compile(rf"({_KEY})\s*(==|!=|=)\s*({_VALUE})", re.ASCII)
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)", re.ASCII)
_PRESENCE = re.compile(rf"(!?)\s*({_KEY})", re.ASCII)


def _split(text: str) -> list[str]:
    """The terms of a selector: at commas outside of parentheses."""
    if not text.strip():
        return []
    return [term.strip() for term in re.split(r",(?![^(]*\))", text)]


def _requirement(term: str) -> Requirement | None:
    if parts := _EQUALITY.fullmatch(term):
        key, operator, value = parts.groups()
        return Requirement(key, Operator.NOT_IN if operator == "!=" else Operator.IN, (value,))
    if parts := _SET.fullmatch(term):
        key, operator, values = parts.groups()
        wanted = Operator.IN if operator == "in" else Operator.NOT_IN
        return Requirement(key, wanted, tuple(value.strip() for value in values.split(",")))
    if parts := _PRESENCE.fullmatch(term):
        absent, key = parts.groups()
        return Requirement(key, Operator.ABSENT if absent else Operator.EXISTS)
    return None
