"""What Go's decoder says about text that is not JSON. Only ever runs on bodies that could not be decoded."""

from __future__ import annotations

_SPACE = " \t\r\n"
_HEX = "0123456789abcdefABCDEF"
END = "unexpected end of JSON input"


class _Broken(Exception):
    pass


def complaint(body: bytes) -> str:
    """The message for the first fault of `body`; "" if it is JSON after all."""
    scanner = _Scanner(body.decode("latin-1"))  # it reads byte by byte, and shows a byte as a character
    try:
        scanner.document()
    except _Broken as fault:
        return str(fault)
    return ""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def document(self) -> None:
        self.value("looking for beginning of value")
        self.space()
        if self.at < len(self.text):
            raise self.wrong("after top-level value")

    def value(self, context: str) -> None:
        self.space()
        match self.peek():
            case "{":
                self.object()
            case "[":
                self.array()
            case '"':
                self.string()
            case "t" | "f" | "n" as first:
                self.literal({"t": "true", "f": "false", "n": "null"}[first])
            case c if c == "-" or (c.isdigit() and c.isascii()):
                self.number()
            case _:
                raise self.wrong(context)

    def object(self) -> None:
        self.at += 1
        self.space()
        if self.peek() == "}":
            self.at += 1
            return
        while True:
            self.space()
            if self.peek() != '"':
                raise self.wrong("looking for beginning of object key string")
            self.string()
            self.space()
            if self.peek() != ":":
                raise self.wrong("after object key")
            self.at += 1
            self.value("looking for beginning of value")
            if self.ends("}", "after object key:value pair"):
                return

    def array(self) -> None:
        self.at += 1
        self.space()
        if self.peek() == "]":
            self.at += 1
            return
        while True:
            self.value("looking for beginning of value")
            if self.ends("]", "after array element"):
                return

    def ends(self, close: str, context: str) -> bool:
        self.space()
        c = self.peek()
        if c not in (close, ","):
            raise self.wrong(context)
        self.at += 1
        return c == close

    def string(self) -> None:
        self.at += 1
        while (c := self.peek()) != '"':
            if c < " ":
                raise self.wrong("in string literal")
            self.at += 1
            if c == "\\":
                self.escape()
        self.at += 1

    def escape(self) -> None:
        c = self.peek()
        if c not in '"\\/bfnrtu':
            raise self.wrong("in string escape code")
        self.at += 1
        if c == "u":
            for _ in range(4):
                if self.peek() not in _HEX:
                    raise self.wrong("in \\u hexadecimal character escape")
                self.at += 1

    def literal(self, word: str) -> None:
        for expected in word:
            if self.peek() != expected:
                raise self.wrong(f"in literal {word} (expecting {_shown(expected)})")
            self.at += 1

    def number(self) -> None:
        if self.peek() == "-":
            self.at += 1
            self.digit("in numeric literal")
            self.at -= 1
        if self.peek() == "0":
            self.at += 1
        else:
            self.digits()
        if self.more() == ".":
            self.at += 1
            self.digit("after decimal point in numeric literal")
            self.digits()
        if self.more() in ("e", "E"):
            self.at += 1
            if self.peek() in "+-":
                self.at += 1
            self.digit("in exponent of numeric literal")
            self.digits()

    def digit(self, context: str) -> None:
        if not "0" <= self.peek() <= "9":
            raise self.wrong(context)
        self.at += 1

    def digits(self) -> None:
        while self.more() and "0" <= self.more() <= "9":
            self.at += 1

    def space(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _SPACE:
            self.at += 1

    def more(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def peek(self) -> str:
        if self.at >= len(self.text):
            raise _Broken(END)
        return self.text[self.at]

    def wrong(self, context: str) -> _Broken:
        return _Broken(f"invalid character {_shown(self.peek())} {context}")


def _shown(c: str) -> str:
    """`c` in Go's single quotes."""
    if c in "'\\":
        return f"'\\{c}'"
    if c == '"':
        return "'\"'"
    return {"\n": "'\\n'", "\t": "'\\t'", "\r": "'\\r'"}.get(c) or (
        f"'{c}'" if c.isprintable() else f"'\\x{ord(c):02x}'"
    )
