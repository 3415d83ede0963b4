"""Log lines and what they carry."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from kruise_rollouts.runtime.log import log_of
from kruise_rollouts.runtime.telemetry import log_to


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_one_json_object_with_its_pairs() -> None:
    out = io.StringIO()
    log_to(out)
    log = log_of("test").bind(controller="rollout")
    log.info("step changed", step=2, key=("ns", "demo"), odd={1, 2}.__class__)
    log.debug("not worth a line")
    (line,) = out.getvalue().splitlines()
    found = json.loads(line)
    assert found["message"] == "step changed"
    assert (found["level"], found["logger"], found["controller"], found["step"]) == (
        "info",
        "test",
        "rollout",
        2,
    )
    assert found["key"] == ["ns", "demo"]
    assert found["time"].endswith("Z")


def test_a_bug_brings_its_trace() -> None:
    out = io.StringIO()
    log_to(out)
    try:
        raise ZeroDivisionError("no")
    except ZeroDivisionError as error:
        log_of("test").error("reconcile failed", bug=error)
    assert "ZeroDivisionError: no" in json.loads(out.getvalue())["trace"]


def test_people_get_one_readable_line() -> None:
    out = io.StringIO()
    log_to(out, style="text", level=logging.DEBUG)
    log_of("test").debug("step changed", step=2, why="two words")
    assert "DEBUG   step changed step=2 why='two words'" in out.getvalue()


def test_lines_of_libraries_go_the_same_way() -> None:
    out = io.StringIO()
    log_to(out)
    logging.getLogger("library").warning("%d things", 3)
    assert json.loads(out.getvalue())["message"] == "3 things"
