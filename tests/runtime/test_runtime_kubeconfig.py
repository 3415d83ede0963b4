"""Where the API server is and who we are: as kubectl reads it, with errors that say what to do."""

from __future__ import annotations

import base64
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from kruise_rollouts.runtime.credentials import CredentialError, Exec, ExecConfig, Proof, TokenFile
from kruise_rollouts.runtime.kubeconfig import KubeconfigError, connect, from_files, in_cluster

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_config(path: Path, **changes: object) -> Path:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://one:6443/"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "current-context": "x",
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return path


def a_user(path: Path, **user: object) -> Path:
    return a_config(path, users=[{"name": "u", "user": user}])


def proof_of(path: Path) -> Proof:
    return from_files([path]).credentials.fetch(NOW)


def test_the_current_context_says_where_and_as_whom(tmp_path: Path) -> None:
    connection = connect(str(a_config(tmp_path / "config")), environ={})
    assert (connection.server, connection.namespace) == ("https://one:6443", "shop")
    assert connection.credentials.fetch(NOW).headers == {"Authorization": "Bearer secret"}


def test_of_several_files_the_first_to_name_something_wins(tmp_path: Path) -> None:
    first = a_config(tmp_path / "1", contexts=[], **{"current-context": "y"})
    second = a_config(
        tmp_path / "2",
        clusters=[{"name": "c", "cluster": {"server": "https://two"}}],
        contexts=[{"name": "y", "context": {"cluster": "c", "user": "u"}}],
    )
    environ = {"KUBECONFIG": f"{first}:{tmp_path / 'missing'}:{second}"}
    connection = connect(environ=environ)
    assert connection.server == "https://one:6443"
    assert connection.namespace == "default"


def test_files_named_in_a_config_are_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "ca.pem").write_text("CA")
    (tmp_path / "token").write_text("from-file\n")
    path = a_config(
        tmp_path / "config",
        clusters=[{"name": "c", "cluster": {"server": "https://one", "certificate-authority": "pki/ca.pem"}}],
        users=[{"name": "u", "user": {"tokenFile": "token"}}],
    )
    connection = from_files([path])
    assert connection.ca == "CA"
    assert connection.credentials.fetch(NOW).headers == {"Authorization": "Bearer from-file"}


def test_certificates_may_be_given_in_place(tmp_path: Path) -> None:
    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    proof = proof_of(
        a_user(
            tmp_path / "c", **{"client-certificate-data": encoded("CERT"), "client-key-data": encoded("KEY")}
        )
    )
    assert (proof.certificate, proof.key) == (b"CERT", b"KEY")


def test_a_user_may_act_as_another(tmp_path: Path) -> None:
    headers = proof_of(a_user(tmp_path / "c", **{"token": "t", "as": "ann", "as-groups": ["dev"]})).headers
    assert headers == {"Authorization": "Bearer t", "Impersonate-User": "ann", "Impersonate-Group": "dev"}


def test_in_a_pod_without_configuration_the_service_account_is_used(tmp_path: Path) -> None:
    for name, content in (("token", "sa-token"), ("ca.crt", "CA"), ("namespace", "kruise")):
        (tmp_path / name).write_text(content)
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443", "HOME": "/nowhere"}
    connection = connect(environ=environ, service_account=tmp_path)
    assert (connection.server, connection.namespace, connection.ca) == (
        "https://[fd00::1]:443",
        "kruise",
        "CA",
    )
    assert connection.credentials.fetch(NOW).headers == {"Authorization": "Bearer sa-token"}


def test_a_token_file_is_read_again_before_its_token_can_expire(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    credentials = TokenFile(token, Proof())
    credentials.fetch(NOW)
    token.write_text("two")
    assert credentials.current(NOW + timedelta(seconds=30)) is not None
    assert credentials.current(NOW + timedelta(seconds=61)) is None
    assert credentials.fetch(NOW).headers == {"Authorization": "Bearer two"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"current-context": ""}, "names no current context: choose one"),
        ({"current-context": "z"}, "no context 'z' .* x$"),
        ({"contexts": []}, "Check KUBECONFIG"),
        ({"clusters": []}, "names the cluster 'c', which is not"),
        ({"users": []}, "names the user 'u', who is not"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "has no server"),
        ({"clusters": "odd"}, "not as it should be"),
        ({"users": [{"name": "u", "user": {"auth-provider": {"name": "gcp"}}}]}, "exec plugin instead"),
        ({"users": [{"name": "u", "user": {"client-key-data": "QQ=="}}]}, "both a client certificate and"),
        ({"users": [{"name": "u", "user": {"client-key-data": "!"}}]}, "not base64"),
        (
            {"users": [{"name": "u", "user": {"client-certificate": "gone.pem"}}]},
            "cannot be read from .*gone.pem",
        ),
    ],
)
def test_a_config_that_cannot_be_used_says_why(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(KubeconfigError, match=says):
        from_files([a_config(tmp_path / "config", **changes)])


def test_no_configuration_at_all_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="Set KUBECONFIG or pass --kubeconfig"):
        connect(environ={"HOME": str(tmp_path)})
    with pytest.raises(KubeconfigError, match=r"cannot be read from .*missing"):
        connect(str(tmp_path / "missing"), environ={})
    with pytest.raises(KubeconfigError, match="not a pod"):
        in_cluster(environ={})


def test_what_is_no_yaml_is_told(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("a: [")
    with pytest.raises(KubeconfigError, match="is not YAML"):
        from_files([tmp_path / "c"])


# --- programs that give credentials ------------------------------------------------------------------------

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"


def a_program(folder: Path, python: str) -> Path:
    path = folder / "plugin"
    path.write_text(f"#!{sys.executable} -S\nimport json, os, sys\n{python}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def printing(version: str, **status: object) -> str:
    credential = {"apiVersion": version, "kind": "ExecCredential", "status": status}
    return f"print(json.dumps({credential!r}))"


def an_exec(program: Path, version: str = V1, **more: object) -> Exec:
    config = ExecConfig(command=str(program), api_version=version, interactive_mode="Never", **more)  # type: ignore[arg-type]
    return Exec(config, Proof(), cluster={"server": "https://one"}, environ={"PATH": "/usr/bin"})


@pytest.mark.parametrize("version", [V1, V1BETA1])
def test_a_program_gives_a_token_until_it_expires(tmp_path: Path, version: str) -> None:
    program = a_program(tmp_path, printing(version, token="t1", expirationTimestamp="2026-01-01T01:00:00Z"))
    credentials = an_exec(program, version)
    assert credentials.current(NOW) is None
    assert credentials.fetch(NOW).headers == {"Authorization": "Bearer t1"}
    assert credentials.current(NOW + timedelta(minutes=59)) is not None
    assert credentials.current(NOW + timedelta(minutes=59, seconds=45)) is None


def test_a_program_is_told_what_it_is_for(tmp_path: Path) -> None:
    program = a_program(
        tmp_path,
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "token = '|'.join([info['spec']['cluster']['server'], str(info['spec']['interactive']), os.environ['X'], sys.argv[1]])\n"
        f"print(json.dumps(dict(apiVersion={V1!r}, kind='ExecCredential', status=dict(token=token))))",
    )
    credentials = an_exec(
        program, args=("arg",), env=({"name": "X", "value": "y"},), provide_cluster_info=True
    )
    assert credentials.fetch(NOW).headers == {"Authorization": "Bearer https://one|False|y|arg"}


def test_a_program_may_give_a_certificate(tmp_path: Path) -> None:
    program = a_program(tmp_path, printing(V1, clientCertificateData="CERT", clientKeyData="KEY"))
    proof = an_exec(program).fetch(NOW)
    assert (proof.certificate, proof.key) == (b"CERT", b"KEY")


@pytest.mark.parametrize(
    ("python", "says"),
    [
        (printing(V1BETA1, token="t"), "apiVersion to match"),
        (printing(V1), "neither a token nor a certificate"),
        (printing(V1, token="t", expirationTimestamp="2020-01-01T00:00:00Z"), "log in again"),
        ("print('hello')", "printed no ExecCredential"),
        ('print(\'{"kind": "Pod"}\')', "a Pod, not an ExecCredential"),
        ("sys.exit('please log in')", r"exit code 1\): please log in"),
    ],
)
def test_a_program_that_gives_nothing_usable_is_explained(tmp_path: Path, python: str, says: str) -> None:
    with pytest.raises(CredentialError, match=says):
        an_exec(a_program(tmp_path, python)).fetch(NOW)


def test_a_missing_program_is_explained_with_the_hint_of_the_config(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="not found\nget it from"):
        an_exec(tmp_path / "gone", install_hint="get it from example.com").fetch(NOW)


def test_a_program_in_a_config_is_found_beside_it(tmp_path: Path) -> None:
    a_program(tmp_path, printing(V1, token="beside"))
    path = a_user(
        tmp_path / "config", exec={"command": "./plugin", "apiVersion": V1, "interactiveMode": "Never"}
    )
    assert proof_of(path).headers == {"Authorization": "Bearer beside"}
