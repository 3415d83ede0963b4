"""CEL source to a tree. What the tree means is in program.py.

The grammar is that of cel-spec with optional syntax (`a.?b`, `a[?0]`, `[?x]`, `{?k: v}`); message construction is
left out because Kubernetes' rules have no message types.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from msgspec import Struct


class CelSyntaxError(ValueError):
    """The source is not CEL; `at` is the offset of the first token that does not fit."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


class UInt(int):
    """A CEL uint."""


class Literal(Struct, frozen=True):
    value: bool | int | float | str | bytes | None
    at: int


class Ident(Struct, frozen=True):
    name: str
    at: int


class Select(Struct, frozen=True):
    operand: Expr
    field: str
    optional: bool  # a.?b
    at: int


class Index(Struct, frozen=True):
    operand: Expr
    index: Expr
    optional: bool  # a[?b]
    at: int


class Invoke(Struct, frozen=True):
    """A function or method call; operators are functions named by their sign."""

    name: str
    receiver: Expr | None
    args: tuple[Expr, ...]
    at: int


class MakeList(Struct, frozen=True):
    items: tuple[tuple[Expr, bool], ...]  # element, whether it is optional
    at: int


class MakeMap(Struct, frozen=True):
    entries: tuple[tuple[Expr, Expr, bool], ...]  # key, value, whether the value is optional
    at: int


Expr: TypeAlias = Literal | Ident | Select | Index | Invoke | MakeList | MakeMap

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<string>(?:[bB][rR]?|[rR][bB]?)?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
      |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
  | (?P<int>0[xX][0-9a-fA-F]+[uU]?|\d+[uU]?)
  | (?P<ident>[A-Za-z_][A-Za-z0-9_]*|`[A-Za-z0-9_.\-/ ]+`)
  | (?P<op>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL
)
_STARTS = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_BINARY = (("||",), ("&&",), ("<", "<=", ">=", ">", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))
RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    }
)


class _Token(Struct, frozen=True):
    kind: str
    text: str
    at: int


def _tokens(source: str) -> list[_Token]:
    out: list[_Token] = []
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            unread = source[at:].split("\n", 1)[0] if source[at] in "'\"" else source[at]
            raise CelSyntaxError(f"Syntax error: token recognition error at: '{unread}'", at)
        if found.lastgroup != "space":
            out.append(_Token(found.lastgroup or "", found.group(), at))
        at = found.end()
    out.append(_Token("end", "<EOF>", len(source)))
    return out


def _text_of(token: str) -> str | bytes:
    prefix = token[: min(i for i in (token.find('"'), token.find("'")) if i >= 0)].lower()
    body = token[len(prefix) :]
    quotes = 3 if body[:3] in ('"""', "'''") and len(body) >= 6 else 1
    body = body[quotes:-quotes]
    binary = "b" in prefix
    if "r" in prefix:
        return body.encode() if binary else body
    if not binary:
        return _ESCAPE.sub(lambda m: _unescape(m.group(1)), body)
    out = bytearray()
    last = 0
    for found in _ESCAPE.finditer(body):
        out += body[last : found.start()].encode()
        code = _unescape(found.group(1))
        out += bytes([ord(code)]) if found.group(1)[0] in "xX0123" else code.encode()
        last = found.end()
    return bytes(out + body[last:].encode())


def _unescape(code: str) -> str:
    if code[0] in "xXuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if len(code) == 3:
        return chr(int(code, 8))
    return _ESCAPES.get(code, code)


class _Parser:
    def __init__(self, source: str) -> None:
        self.tokens = _tokens(source)
        self.index = 0

    @property
    def now(self) -> _Token:
        return self.tokens[self.index]

    def take(self, *texts: str) -> _Token | None:
        """The next token if it is one of these signs."""
        token = self.now
        if token.text in texts and token.kind in ("op", "ident"):
            self.index += 1
            return token
        return None

    def need(self, text: str) -> _Token:
        found = self.take(text)
        if found is None:
            token = self.now
            raise CelSyntaxError(f"Syntax error: missing '{text}' at '{token.text}'", token.at)
        return found

    def wrong(self, expected: str) -> CelSyntaxError:
        token = self.now
        return CelSyntaxError(f"Syntax error: mismatched input '{token.text}' expecting {expected}", token.at)

    def expression(self) -> Expr:
        condition = self.binary(0)
        sign = self.take("?")
        if sign is None:
            return condition
        then = self.binary(0)
        self.need(":")
        return Invoke("?:", None, (condition, then, self.expression()), sign.at)

    def binary(self, level: int) -> Expr:
        if level == len(_BINARY):
            return self.unary()
        left = self.binary(level + 1)
        while (sign := self.take(*_BINARY[level])) is not None:
            left = Invoke(sign.text, None, (left, self.binary(level + 1)), sign.at)
        return left

    def unary(self) -> Expr:
        sign = self.take("!", "-")
        if sign is None:
            return self.member()
        if (
            sign.text == "-"
            and self.now.kind in ("int", "float")
            and self.tokens[self.index + 1].text not in ".["
        ):
            token = self.now
            self.index += 1
            return self.number(token, "-")
        return Invoke("!" if sign.text == "!" else "neg", None, (self.unary(),), sign.at)

    def member(self) -> Expr:
        out = self.primary()
        while (sign := self.take(".", "[")) is not None:
            optional = self.take("?") is not None
            if sign.text == "[":
                index = self.expression()
                self.need("]")
                out = Index(out, index, optional, sign.at)
                continue
            name = self.identifier()
            opening = None if optional else self.take("(")
            if opening is None:
                out = Select(out, name, optional, sign.at)
            else:
                out = Invoke(name, out, self.arguments(")"), opening.at)
        return out

    def identifier(self) -> str:
        token = self.now
        if token.kind == "end":
            raise CelSyntaxError("Syntax error: no viable alternative at input '.'", token.at)
        if token.kind != "ident":
            raise self.wrong("IDENTIFIER")
        self.index += 1
        return token.text.strip("`")

    def arguments(self, end: str) -> tuple[Expr, ...]:
        out: list[Expr] = []
        while self.take(end) is None:
            out.append(self.expression())
            if self.take(",") is None:
                self.need(end)
                break
        return tuple(out)

    def primary(self) -> Expr:
        token = self.now
        self.index += 1
        if token.kind == "string":
            return Literal(_text_of(token.text), token.at)
        if token.kind in ("int", "float"):
            return self.number(token)
        if token.text == "(":
            inner = self.expression()
            self.need(")")
            return inner
        if token.text == "[":
            return self.list_of(token.at)
        if token.text == "{":
            return self.map_of(token.at)
        if token.text == "." and self.now.kind == "ident":
            return self.primary()
        if token.kind != "ident" or token.text in RESERVED or token.text == "in":
            self.index -= 1
            raise self.wrong(_STARTS)
        match token.text:
            case "true" | "false":
                return Literal(token.text == "true", token.at)
            case "null":
                return Literal(None, token.at)
        opening = self.take("(")
        if opening is not None:
            return Invoke(token.text, None, self.arguments(")"), opening.at)
        return Ident(token.text, token.at)

    def number(self, token: _Token, sign: str = "") -> Literal:
        if token.kind == "float":
            return Literal(float(sign + token.text), token.at)
        text = token.text.lower()
        value = int(sign + text.rstrip("u"), 16 if text.startswith("0x") else 10)
        if text.endswith("u"):
            return Literal(UInt(value), token.at)
        if not -(1 << 63) <= value < 1 << 63:
            raise CelSyntaxError("invalid int literal", token.at)
        return Literal(value, token.at)

    def list_of(self, at: int) -> Expr:
        items: list[tuple[Expr, bool]] = []
        while self.take("]") is None:
            optional = self.take("?") is not None
            items.append((self.expression(), optional))
            if self.take(",") is None:
                self.need("]")
                break
        return MakeList(tuple(items), at)

    def map_of(self, at: int) -> Expr:
        entries: list[tuple[Expr, Expr, bool]] = []
        while self.take("}") is None:
            optional = self.take("?") is not None
            key = self.expression()
            self.need(":")
            entries.append((key, self.expression(), optional))
            if self.take(",") is None:
                self.need("}")
                break
        return MakeMap(tuple(entries), at)


def parse(source: str) -> Expr:
    """The tree of `source`. Raises CelSyntaxError."""
    parser = _Parser(source)
    tree = parser.expression()
    if parser.now.kind != "end":
        token = parser.now
        raise CelSyntaxError(f"Syntax error: extraneous input '{token.text}' expecting <EOF>", token.at)
    return tree
