"""Where a sandbox keeps what it needs, and what stays the same when it is started again."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kruise_rollouts.cli.errors import CommandError
from kruise_rollouts.cli.home import home
from kruise_rollouts.cli.kruise_rollout import main

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_kept_sandbox_has_the_same_address_token_and_certificate_again(tmp_path: Path) -> None:
    with home(str(tmp_path / "kept"), 0, NOW) as first:
        assert first.port == 0
        first.publish("https://127.0.0.1:4711")
    with home(str(tmp_path / "kept"), 0, NOW) as again:
        assert (again.port, again.token, again.identity) == (4711, first.token, first.identity)
    with home(str(tmp_path / "kept"), 1234, NOW) as moved:
        assert moved.port == 1234


def test_two_sandboxes_do_not_share_a_folder(tmp_path: Path) -> None:
    second = home(str(tmp_path), 0, NOW)
    with home(str(tmp_path), 0, NOW), pytest.raises(CommandError, match="another sandbox runs on"):
        second.__enter__()


def test_without_data_nothing_is_left_behind() -> None:
    with home("", 0, NOW) as place:
        place.publish("https://127.0.0.1:4711")
        assert place.kubeconfig.stat().st_mode & 0o077 == 0
    assert not place.folder.exists()


def test_a_folder_that_cannot_be_had_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["sandbox", "--data", str(tmp_path / "file" / "in")]) == 1
    assert "Choose a folder of your own" in capsys.readouterr().err


@pytest.mark.slow
def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["sandbox", "--port", str(port), "--no-controller"]) == 1
    assert capsys.readouterr().err == (
        f"error: port {port} is taken by another program. Choose another with --port\n"
    )


@pytest.mark.slow
def test_the_demo_plays_to_its_end_in_lines_that_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--rate", "60"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("  ok: ") for line in lines) == 9
    assert max(map(len, lines)) <= 100
