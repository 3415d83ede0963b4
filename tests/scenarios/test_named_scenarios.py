"""The table in README.md: each scenario of the specification that it numbers has tests, and each of them is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
ROW = re.compile(r"^\| (#\d+|S\d\d) \| (.+) \|$", re.MULTILINE)
NAME = re.compile(r"`([\w/.]+)::(test_\w+)`")


def test_every_test_that_the_table_names_is_there() -> None:
    rows = ROW.findall((HERE / "README.md").read_text())
    assert len(rows) == len({number for number, _ in rows}) > 20
    for number, tests in rows:
        named = NAME.findall(tests)
        assert named, f"{number} names no test"
        for file, name in named:
            there = {getattr(node, "name", "") for node in ast.parse((HERE / file).read_text()).body}
            assert name in there, f"{number}: there is no {name} in {file}"
