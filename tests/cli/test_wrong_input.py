"""Whatever is typed or configured wrong: one message that says what to do, exit status 1, never a traceback."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from kruise_rollouts.cli import kruise_rollout, kubectl_kruise

from .cluster import Cluster
from .conftest import Kruise


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rollout foo", "error: unknown command \"foo\"\nSee 'kubectl kruise rollout -h' for help and examples"),
        ("foo", 'Error: unknown command "foo"'),
        ("rollout approve --foo rollout/web", "Error: unknown flag: --foo"),
        ("rollout approve --foo=bar rollout/web", "Error: unknown flag: --foo\n"),
        ("rollout approve", "error: required resource not specified"),
        ("rollout approve -f x -k y", "error: only one of -f or -k can be specified"),
        ("rollout approve -k y -R", "error: the -k flag can't be used with -f or -R"),
        ("rollout approve -f /not/there.yaml", 'error: the path "/not/there.yaml" does not exist'),
        ("rollout approve rollout/", "error: arguments in resource/name form must have a single resource and name"),
        ("rollout approve nonsense/web", 'error: the server doesn\'t have a resource type "nonsense"'),
        ("rollout approve rollout/none", 'Error from server (NotFound): rollouts.rollouts.kruise.io "none" not found'),
        ("rollout approve rollout/web -o wide", "error: unable to match a printer suitable for the output format"),
        ("rollout approve rollout/web --dry-run=maybe", "error: argument --dry-run: invalid choice: 'maybe'"),
        ("rollout status rollout/web --timeout=soon", 'error: invalid duration "soon"'),
        ("rollout status rollout/web --watch=perhaps", 'error: invalid argument "perhaps" for "--watch" flag'),
        ("rollout status rollout/a rollout/b", "error: rollout status is only supported on individual resources"),
        ("rollout status namespace/default", "error: no status viewer has been implemented for Namespace"),
        ("rollout undo namespace/default", "error: no rollbacker has been implemented for Namespace"),
        ("rollout undo namespace/default --fast", "rollback is not supported on given object"),
        ("rollout jump rollout/web", "error: the following arguments are required: --to"),
        ("rollout list more", "error: unexpected argument: more"),
        ("describe rollout", "error: required rollout name not specified"),
        ("describe rollout none", 'Error from server (NotFound): rollouts.rollouts.kruise.io "none" not found'),
        ("rollout status rollout/web --user bob", "error: --user is not supported: choose a --context that has it"),
        ("rollout status rollout/web --token wrong", "error: You must be logged in to the server (Unauthorized)\n"),
        ("rollout status rollout/web --context other", "error: there is no context 'other' in"),
        ("rollout status rollout/web --kubeconfig /not/there", "error: the kubeconfig cannot be read from /not/there"),
        ("rollout status rollout/web --server ftp://x", 'error: the server address "ftp://x" is not an http(s) URL'),
        ("rollout status rollout/web --tls-server-name other.example", "Unable to connect to the server 127.0.0.1:"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_words(kruise: Kruise, line: str, message: str) -> None:
    said = kruise(line)
    assert (said.code, said.out) == (1, "")
    assert message in said.err
    assert "Traceback" not in said.err


def test_a_ca_that_is_none_is_told_with_the_file_that_has_it(
    kruise: Kruise, plain: Cluster, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    text = Path(plain.kubeconfig).read_text()
    broken.write_text(
        re.sub(r'(certificate-authority-data"?: *"?)[^"\s]+', r"\1bm90IGEgY2VydGlmaWNhdGU=", text)
    )
    said = kruise(f"rollout status rollout/web --kubeconfig {broken}")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: the certificates of ") and str(broken) in said.err


def test_nobody_listening_is_told_as_kubectl_tells_it(kruise: Kruise) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        said = kruise(f"rollout approve rollout/web --server https://127.0.0.1:{port}")
    assert said.code == 1
    assert said.err == (
        f"The connection to the server 127.0.0.1:{port} was refused - did you specify the right host or port?\n"
    )


def test_a_stranger_is_told_whose_credentials_were_refused(
    plain: Cluster, kruise: Kruise, tmp_path: Path
) -> None:
    config = json.loads(plain.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = "expired"
    (tmp_path / "config").write_text(json.dumps(config))
    said = kruise(f"rollout approve rollout/web --kubeconfig {tmp_path / 'config'}")
    assert said.code == 1
    assert str(tmp_path / "config") in said.err
    assert "log in again" in said.err


@pytest.mark.parametrize("line", ["rollout approve rollout/web -n {ns}", "rollout approve -n {ns} rollout web", "rollout approve rollout -n {ns} web", "-n {ns} rollout approve rollout/web", "rollout -n {ns} approve rollout/web"])  # fmt: skip
def test_flags_may_stand_anywhere(kruise: Kruise, line: str) -> None:
    assert kruise(line.format(ns="nowhere")).err == (
        'Error from server (NotFound): rollouts.rollouts.kruise.io "web" not found\n'
    )


@pytest.mark.parametrize(("line", "code"), [("", 0), ("rollout", 1), ("describe", 1), ("options", 0)])
def test_a_bare_command_prints_its_help(kruise: Kruise, line: str, code: int) -> None:
    said = kruise(line)
    assert said.code == code
    assert len(said.out) > 100
    assert said.err == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sandbox --rate 0", "error: --rate must be above 0, not 0"),
        ("sandbox --rate fast", "error: argument --rate: invalid float value: 'fast'"),
        ("nonsense", "invalid choice: 'nonsense'"),
        ("install --webhook-url http://here", "error: --webhook-url must begin with https://"),
        ("install --kubeconfig /not/there", "error: the kubeconfig cannot be read from /not/there"),
        ("manager --kubeconfig /not/there", "error: the kubeconfig cannot be read from /not/there"),
        ("manager --feature-gates Nonsense=true", "error: "),
        ("manager --metrics-bind-address here", "error: "),
    ],
)
def test_kruise_rollout_tells_mistakes_in_words(
    capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    assert kruise_rollout.main(line.split()) == 1
    seen = capsys.readouterr()
    assert message in seen.err
    assert "Traceback" not in seen.err


def test_a_manager_outside_of_the_cluster_does_not_take_the_webhooks_from_where_they_are_reached(
    plain: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WEBHOOK_HOST", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rollouts.rollouts.kruise.io"
    before = plain.request("GET", crd)["spec"]["conversion"]
    assert kruise_rollout.main(["manager", "--kubeconfig", str(plain.kubeconfig)]) == 1
    url = before["webhook"]["clientConfig"]["url"].removesuffix("/convert")
    said = capsys.readouterr().err
    assert f"webhooks are called at {url}" in said and "start it with WEBHOOK_HOST=" in said
    assert plain.request("GET", crd)["spec"]["conversion"] == before


def test_without_any_configuration_the_message_says_where_it_was_looked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kubectl_kruise.main(["rollout", "approve", "rollout/web"]) == 1
    assert "Set KUBECONFIG or pass --kubeconfig" in capsys.readouterr().err
