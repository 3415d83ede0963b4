"""pause, resume, restart, undo, abort: what they write, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .cluster import ROLLOUTS, Cluster
from .conftest import Kruise

DEPLOYMENT = "/apis/apps/v1/namespaces/{ns}/deployments/web"


def _eventually(cluster: Cluster, path: str, true: Any) -> Any:
    """The object once `true(object)`; the cluster's clock is far ahead of ours."""

    async def look() -> Any:
        for _ in range(200):
            found = await cluster.sandbox.api().request("GET", path)
            if true(found):
                return found
            await cluster.sandbox.clock.sleep(0.5)
        raise AssertionError(found)

    return cluster.do(look())


def _two_revisions(cluster: Cluster, ns: str) -> None:
    path = f"/apis/apps/v1/namespaces/{ns}/replicasets"
    cluster.deployment(ns, "busybox:1")
    _eventually(cluster, path, lambda found: found.count(b'"uid":"') >= 2)
    cluster.image(ns, "busybox:2")
    _eventually(cluster, path, lambda found: b"busybox:2" in found)


def _image(cluster: Cluster, ns: str) -> str:
    spec = cluster.request("GET", DEPLOYMENT.format(ns=ns))["spec"]["template"]["spec"]
    return str(spec["containers"][0]["image"])


@pytest.mark.parametrize("kind", ["rollout", "rollouts.v1alpha1.rollouts.kruise.io"])
def test_a_rollout_is_paused_and_resumed_in_either_version(
    plain: Cluster, ns: str, kruise: Kruise, kind: str
) -> None:
    plain.rollout(ns)
    path = f"{ROLLOUTS.format(version='v1beta1', ns=ns)}/web"
    said = kruise(f"rollout pause {kind}/web -n {ns}")
    assert (said.code, said.out) == (0, "rollout.rollouts.kruise.io/web paused\n")
    assert plain.request("GET", path)["spec"]["strategy"]["paused"] is True
    said = kruise(f"rollout pause {kind}/web -n {ns}")
    assert (said.code, said.err) == (1, 'error: rollouts.rollouts.kruise.io "web" is already paused\n')
    assert kruise(f"rollout resume {kind}/web -n {ns}").out == "rollout.rollouts.kruise.io/web resumed\n"
    assert not plain.request("GET", path)["spec"]["strategy"].get("paused")
    said = kruise(f"rollout resume {kind}/web -n {ns}")
    assert (said.code, said.err) == (1, 'error: rollouts.rollouts.kruise.io "web" is not paused\n')


def test_a_deployment_is_paused_and_then_not_restarted(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.deployment(ns)
    assert kruise(f"rollout restart deployment/web -n {ns}").out == "deployment.apps/web restarted\n"
    annotations = plain.request("GET", DEPLOYMENT.format(ns=ns))["spec"]["template"]["metadata"][
        "annotations"
    ]
    assert "kubectl.kubernetes.io/restartedAt" in annotations
    assert kruise(f"rollout pause deployment web -n {ns}").out == "deployment.apps/web paused\n"
    said = kruise(f"rollout restart deployment/web -n {ns}")
    assert said.code == 1
    assert (
        said.err
        == 'error: deployments.apps "web" can\'t restart paused deployment (run rollout resume first)\n'
    )


@pytest.mark.parametrize("named", ["rollout/web", "deployment/web"])
def test_a_restart_in_a_release_is_refused_with_a_way_that_leads_on(
    plain: Cluster, ns: str, kruise: Kruise, named: str
) -> None:
    plain.deployment(ns)
    held = {
        "metadata": {"annotations": {"rollouts.kruise.io/in-progressing": "{}"}},
        "spec": {"paused": True},
    }
    plain.merge(DEPLOYMENT.format(ns=ns), held)
    plain.rollout(ns)
    said = kruise(f"rollout restart {named} -n {ns}")
    assert said.code == 1
    assert said.err.startswith(
        'error: deployments.apps "web" can\'t restart paused deployment: a release is going on.'
    )
    assert f"kubectl kruise rollout undo rollout/web -n {ns}" in said.err
    assert "resume" not in said.err


@pytest.mark.parametrize(
    ("verb", "word"),
    [("pause", "pausing"), ("resume", "resuming"), ("restart", "restarting"), ("abort", "aborting"), ("jump --to 2", "jumping")],
)  # fmt: skip
def test_kinds_that_cannot_do_it_are_refused_by_name(kruise: Kruise, verb: str, word: str) -> None:
    said = kruise(f"rollout {verb} namespace/default")
    assert (said.code, said.err) == (1, f'error: namespaces "default" {word} is not supported\n')


def test_undo_puts_the_previous_template_back_once_however_often_it_is_named(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    _two_revisions(plain, ns)
    plain.rollout(ns)
    said = kruise(f"rollout undo rollout/web deployment/web -n {ns}")
    assert (said.code, said.out, said.err) == (0, "deployment.apps/web rolled back\n", "")
    assert _image(plain, ns) == "busybox:1"
    assert "pod-template-hash" not in str(
        plain.request("GET", DEPLOYMENT.format(ns=ns))["spec"]["template"]["metadata"]
    )


def test_undo_to_a_revision_that_is_there_already_or_not_at_all(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    _two_revisions(plain, ns)
    said = kruise(f"rollout undo deployment/web --to-revision=2 -n {ns}")
    assert (said.code, said.out) == (
        0,
        "deployment.apps/web skipped rollback (current template already matches revision 2)\n",
    )
    for number in (7, -1):
        said = kruise(f"rollout undo deployment/web --to-revision={number} -n {ns}")
        assert (said.code, said.err) == (1, f"error: unable to find specified revision {number} in history\n")
    assert _image(plain, ns) == "busybox:2"


def test_undo_without_a_history_says_so(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.deployment(ns)
    said = kruise(f"rollout undo deployment/web -n {ns}")
    assert (said.code, said.err) == (1, 'error: no rollout history found for deployment "web"\n')


def test_a_dry_undo_shows_the_template_and_writes_nothing(plain: Cluster, ns: str, kruise: Kruise) -> None:
    _two_revisions(plain, ns)
    said = kruise(f"rollout undo deployment/web --dry-run=client -n {ns}")
    assert said.out.startswith("deployment.apps/web rolled back (dry run)\nPod Template:\n")
    assert "busybox:1" in said.out
    said = kruise(f"rollout undo deployment/web --dry-run=server -n {ns}")
    assert said.out == "deployment.apps/web rolled back (server dry run)\n"
    assert _image(plain, ns) == "busybox:2"


def test_abort_of_a_rollout_that_releases_nothing_is_refused(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.rollout(ns)
    said = kruise(f"rollout abort rollout/web -n {ns}")
    assert said.code == 1
    assert "nothing to abort" in said.err


def test_history_lists_revisions_and_shows_one_whole(plain: Cluster, ns: str, kruise: Kruise) -> None:
    _two_revisions(plain, ns)
    plain.rollout(ns)
    for what in ("deployment/web", "rollout/web"):
        said = kruise(f"rollout history {what} -n {ns}")
        assert (
            said.out == "deployment.apps/web \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n\n"
        )
    said = kruise(f"rollout history deployment/web --revision=1 -n {ns}")
    assert said.out.startswith("deployment.apps/web with revision #1\nPod Template:\n")
    assert "busybox:1" in said.out
    for number, reason in (
        (9, "unable to find the specified revision"),
        (-1, "revision must be a positive integer: -1"),
    ):
        said = kruise(f"rollout history deployment/web --revision={number} -n {ns}")
        assert (said.code, said.err) == (1, f"error: {reason}\n")
    said = kruise("rollout history namespace/default")
    assert said.err == 'error: no history viewer has been implemented for "Namespace"\n'


@pytest.mark.parametrize(
    ("output", "start"),
    [("name", "rollout.rollouts.kruise.io/web\n"), ("json", '{\n    "apiVersion": "rollouts.kruise.io/v1beta1"'), ("yaml", "apiVersion: rollouts.kruise.io/v1beta1\n")],
)  # fmt: skip
def test_results_are_printed_as_asked(
    plain: Cluster, ns: str, kruise: Kruise, output: str, start: str
) -> None:
    plain.rollout(ns)
    said = kruise(f"rollout pause -n {ns} rollout/web -o {output}")
    assert said.out.startswith(start)
    assert "managedFields" not in said.out


MANIFEST = (
    "apiVersion: rollouts.kruise.io/{version}\nkind: Rollout\nmetadata: {{name: {name}, namespace: {ns}}}\n"
)


def test_manifests_name_objects_their_version_and_their_namespace(
    plain: Cluster, ns: str, kruise: Kruise, tmp_path: Path
) -> None:
    for name in "ab":
        plain.rollout(ns, name)
    (tmp_path / "in").mkdir()
    (tmp_path / "a.yaml").write_text(MANIFEST.format(version="v1alpha1", name="a", ns=ns))
    (tmp_path / "in" / "b.yaml").write_text(MANIFEST.format(version="v1beta1", name="b", ns=ns))
    said = kruise(f"rollout pause -f {tmp_path / 'a.yaml'} -o yaml")
    assert said.out.startswith("apiVersion: rollouts.kruise.io/v1alpha1\n")
    said = kruise(f"rollout pause -R -f {tmp_path}")
    assert said.out == "rollout.rollouts.kruise.io/b paused\n"
    assert said.err == 'error: rollouts.rollouts.kruise.io "a" is already paused\n'
    said = kruise(f"rollout resume -f {tmp_path}")
    assert said.out == "rollout.rollouts.kruise.io/a resumed\n"
