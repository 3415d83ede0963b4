"""Bytes of a request to values, from JSON or YAML; a key given twice is remembered.

A twice-given key makes an object a `Repeated`: a dict with the value that counts (the last), and all pairs as they
were written. What is wrong with a body is said in the words of an API server.
"""

from __future__ import annotations

import json
import re

import msgspec
import yaml

from kruise_rollouts.kube.effects import Json, JsonObject

from .json_errors import complaint

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair
_SHORT_BOOLEANS = {"y": True, "Y": True, "n": False, "N": False}  # YAML 1.1 in full, which PyYAML is not
_ANCHOR = re.compile(rb"&([^\s,\[\]{}]+)")
_TOO_DEEP = "yaml: exceeded max depth of 1000"
_FEW, _FEW_REPEATED, _SOME, _MANY = 1000, 100, 400_000, 4_000_000  # nodes


class BadBody(ValueError):
    """A body that cannot be decoded; str() is the server's complaint."""


class Repeated(JsonObject):
    """An object some of whose keys were given more than once."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, Json]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def repeated_keys(value: Json, path: str = "") -> list[str]:
    """`duplicate field "spec.a"` for each key given again, in the order they are read."""
    if isinstance(value, list):
        return [p for i, item in enumerate(value) for p in repeated_keys(item, f"{path}[{i}]")]
    if not isinstance(value, dict):
        return []
    out: list[str] = []
    seen: set[str] = set()
    for key, item in value.pairs if isinstance(value, Repeated) else value.items():
        below = f"{path}.{key}" if path else key
        if key in seen:
            out.append(f'duplicate field "{below}"')
        seen.add(key)
        out += repeated_keys(item, below)
    return list(dict.fromkeys(out))


def decode_json(body: bytes) -> Json:
    """The value, with a `Repeated` for each object that repeats a key. Raises BadBody."""
    return decode_noting(body)[0]


def decode_noting(body: bytes) -> tuple[Json, bool]:
    """The value, and whether there is any `Repeated` in it. Raises BadBody."""
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = complaint(body)
        if why or "out of range" in str(error):
            raise BadBody(why or str(error)) from error
        body = _readable(body)
        value = _decode(body)
    # Written out again a body without repetitions is as long as it was, unless it has spaces, escapes or 1e3.
    if len(_encode(value)) == len(body):
        return value, False
    repeated: list[Repeated] = []

    def object_of(pairs: list[tuple[str, Json]]) -> JsonObject:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        repeated.append(Repeated(pairs))
        return repeated[-1]

    value = json.loads(body, object_pairs_hook=object_of)
    return value, bool(repeated)


def too_deep(body: bytes) -> str:
    """The complaint about JSON that is nested deeper than anybody needs."""
    return f"invalid character '{'{' if body.count(b'{') >= body.count(b'[') else '['}' exceeded max depth"


def _readable(body: bytes) -> bytes:
    """JSON whose texts are not quite Unicode, with U+FFFD for what cannot be read."""
    text = body.decode("utf-8", "replace")
    return _HALF.sub("\ufffd", json.dumps(json.loads(text), ensure_ascii=False)).encode()


def decode_yaml(body: bytes) -> tuple[Json, tuple[str, ...]]:
    """The value, and a complaint for each key given twice. Raises BadBody."""
    try:
        loader = _Loader(body)
        node = loader.get_node() if loader.check_node() else None  # of the first document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if "nesting depth" in (error.problem or ""):
            raise BadBody(_TOO_DEEP) from error
        line = min(mark.line, body.rstrip().count(b"\n")) + 1 if mark else 1
        untold = line == 1 and isinstance(error, yaml.scanner.ScannerError)
        where = "" if untold else f"line {line}: "
        raise BadBody(f"yaml: {where}{error.problem}") from error
    except yaml.reader.ReaderError as error:
        raise BadBody(f"yaml: {error.reason}") from error
    except yaml.YAMLError as error:
        raise BadBody(f"yaml: {error}") from error
    if node is None:
        return None, ()
    twice: list[str] = []
    try:
        _Aliases(body).check(node)
        value = _yaml_value(node, _Loader(b""), twice)
    except RecursionError:
        raise BadBody(_TOO_DEEP) from None
    return value, tuple(twice)


class _Aliases:
    """Refuses a document whose aliases would make much of little, or refer to what they are in."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._sizes: dict[int, int] = {}  # by id of a node: how many nodes it stands for

    def check(self, root: yaml.Node) -> None:
        """Raises BadBody."""
        total = self._size(root)
        repeated = total - len(self._sizes)
        if total > _FEW and repeated > _FEW_REPEATED and repeated > total * _repeatable(total):
            raise BadBody("yaml: document contains excessive aliasing")

    def _size(self, node: yaml.Node) -> int:
        found = self._sizes.get(id(node))
        if found == 0:  # it is being counted
            mark = _ANCHOR.match(self._body, node.start_mark.index)
            name = mark[1].decode("utf-8", "replace") if mark else ""
            raise BadBody(f"yaml: anchor '{name}' value contains itself")
        if found is not None:
            return found
        self._sizes[id(node)] = 0
        size = 1
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                size += self._size(item)
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                size += self._size(key) + self._size(value)
        self._sizes[id(node)] = size
        return size


def _repeatable(total: int) -> float:
    """What share of so many nodes may come from aliases: nearly all of a few, a tenth of millions."""
    grown = min(max((total - _SOME) / (_MANY - _SOME), 0.0), 1.0)
    return 0.99 - 0.89 * grown


def _yaml_value(node: yaml.Node, loader: Json, twice: list[str]) -> Json:
    if isinstance(node, yaml.MappingNode):
        out: JsonObject = {}
        for key, value in _pairs(node):
            name = _key(_yaml_value(key, loader, twice))
            if name in out:
                twice.append(f'line {key.start_mark.line + 1}: key "{name}" already set in map')
            out[name] = _yaml_value(value, loader, twice)
        return out
    if isinstance(node, yaml.SequenceNode):
        return [_yaml_value(item, loader, twice) for item in node.value]
    if node.tag.endswith((":timestamp", ":binary", ":value")):
        return node.value
    if isinstance(node, yaml.ScalarNode) and not node.style and node.value in _SHORT_BOOLEANS:
        return _SHORT_BOOLEANS[node.value]
    return loader.construct_object(node)


def _pairs(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """Pairs of `node`, those merged in by << first."""
    merged: list[tuple[yaml.Node, yaml.Node]] = []
    own: list[tuple[yaml.Node, yaml.Node]] = []
    for key, value in node.value:
        if key.tag.endswith(":merge"):
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            merged += [pair for source in sources for pair in _pairs(source)]
        else:
            own.append((key, value))
    names = {key.value for key, _ in own}
    return [pair for pair in merged if pair[0].value not in names] + own


def _key(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else "null" if value is None else str(value)
