"""`kruise-rollout uninstall` while Rollouts are there: what it names, and what it does not delete."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kruise_rollouts.cli.kruise_rollout import main
from kruise_rollouts.operator import install

from .cluster import ROLLOUTS, Cluster, cluster, waiting

CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rollouts.rollouts.kruise.io"
KEPT = {"metadata": {"finalizers": ["rollouts.kruise.io/rollout"]}}


@pytest.fixture
def own() -> Iterator[Cluster]:
    """A cluster that a test may take apart: a Rollout in the middle of a release, and no controller."""
    with cluster() as running:
        running.namespace("shop")
        running.rollout("shop", status=waiting(1))
        running.merge(f"{ROLLOUTS.format(version='v1beta1', ns='shop')}/web", KEPT)
        yield running


def _nobody_converts(cluster: Cluster) -> None:
    """As when every manager is down."""
    client = {"webhook": {"clientConfig": {"url": "https://127.0.0.1:1/convert"}}}
    cluster.merge(CRD, {"spec": {"conversion": client}})


def _is_being_deleted(cluster: Cluster) -> bool:
    return "deletionTimestamp" in cluster.request("GET", CRD)["metadata"]


def test_uninstalling_with_data_is_refused_at_once_while_no_manager_can_give_workloads_back(
    own: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    _nobody_converts(own)
    code = main(["uninstall", "--with-data", "--kubeconfig", str(own.kubeconfig)])
    seen = capsys.readouterr()
    assert (code, seen.out) == (1, "")
    assert seen.err.startswith("error: nothing was deleted: these wait for a running manager")
    assert "  Rollout shop/web (Deployment web)\n" in seen.err
    assert not _is_being_deleted(own)


def test_uninstalling_with_data_is_refused_while_rollouts_of_an_older_version_cannot_even_be_read(
    own: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = own.request("GET", CRD)["spec"]["versions"]
    older = [{**v, "storage": v["name"] == "v1alpha1"} for v in versions]
    own.merge(CRD, {"spec": {"versions": older}})
    own.rollout("shop", "older")  # stored in the older version
    own.merge(CRD, {"spec": {"versions": versions}})
    _nobody_converts(own)
    code = main(["uninstall", "--with-data", "--kubeconfig", str(own.kubeconfig)])
    seen = capsys.readouterr()
    assert (code, seen.out) == (1, "")
    assert seen.err.startswith(
        "error: nothing was deleted: Rollouts cannot be read, which needs a running manager"
    )
    assert not _is_being_deleted(own)
    assert main(["uninstall", "--kubeconfig", str(own.kubeconfig)]) == 0
    assert "Warning: Rollouts cannot be read" in capsys.readouterr().err


def test_uninstalling_with_data_says_whom_it_waits_for_and_who_was_not_given_back(
    own: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "GIVE_BACK_SECONDS", 0.1)
    code = main(["uninstall", "--with-data", "--kubeconfig", str(own.kubeconfig)])
    seen = capsys.readouterr()
    assert code == 1
    assert seen.err.startswith("Waiting for the manager to give back, ")
    assert "see that it runs, and try again\nstill there:\n  Rollout shop/web (Deployment web)\n" in seen.err


def test_uninstalling_without_data_names_the_workloads_that_stay_held(
    own: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    own.rollout("shop", "idle")
    code = main(["uninstall", "--kubeconfig", str(own.kubeconfig)])
    seen = capsys.readouterr()
    assert code == 0
    assert "are still there" in seen.out
    assert "Warning: these are in the middle of a release" in seen.err
    assert "  Rollout shop/web (Deployment web)\n" in seen.err
    assert "idle" not in seen.err
