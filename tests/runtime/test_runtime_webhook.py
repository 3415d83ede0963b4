"""Webhooks: with and without a socket; one that fails harms no other; certificates change while it serves."""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path

import aiohttp
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from virtual import virtually

from kruise_rollouts.kube.admission import ALLOWED, AdmissionRequest, AdmissionResponse, refused
from kruise_rollouts.kube.errors import Invalid, Unavailable
from kruise_rollouts.runtime import certs
from kruise_rollouts.runtime.certs import Bundle
from kruise_rollouts.runtime.certstore import CertKeeper, FolderStore
from kruise_rollouts.runtime.clock import LoopClock, WallClock
from kruise_rollouts.runtime.webhook import ConversionError, WebhookApp, WebhookServer

REVIEW = msgspec.json.encode(
    {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "u", "operation": "CREATE", "object": {"spec": {}}},
    }
)
CONVERSION = msgspec.json.encode(
    {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "ConversionReview",
        "request": {"uid": "u", "desiredAPIVersion": "g/v2", "objects": [{"apiVersion": "g/v1"}]},
    }
)


async def pause(request: AdmissionRequest) -> AdmissionResponse:
    return AdmissionResponse(
        patch=({"op": "add", "path": "/spec/paused", "value": True},), warnings=("held",)
    )


async def fail(request: AdmissionRequest) -> AdmissionResponse:
    raise ZeroDivisionError("a bug")


async def refuse(request: AdmissionRequest) -> AdmissionResponse:
    return refused("not like this")


async def hang(request: AdmissionRequest) -> AdmissionResponse:
    await asyncio.sleep(3600)
    return ALLOWED


async def find_invalid(request: AdmissionRequest) -> AdmissionResponse:
    raise Invalid("spec.steps: too many")


async def cannot_look(request: AdmissionRequest) -> AdmissionResponse:
    raise Unavailable("the API server is away")


async def misread(request: AdmissionRequest) -> AdmissionResponse:
    request.new(int)
    return ALLOWED


async def to_v2(objects, version):
    return [{**o, "apiVersion": version} for o in objects]


async def cannot(objects, version):
    raise ConversionError("g/v3 is not known")


def an_app(clock=None) -> WebhookApp:
    app = WebhookApp(clock or LoopClock())
    for handler in (pause, fail, refuse, hang, find_invalid, cannot_look, misread):
        app.route(f"/{handler.__name__}", handler)
    app.convert("/convert", to_v2)
    app.convert("/cannot", cannot)
    app.open()
    return app


async def verdict(app: WebhookApp, path: str) -> dict[str, object]:
    status, body = await app.respond(path, REVIEW)
    assert status == 200
    found: dict[str, object] = msgspec.json.decode(body)["response"]
    return found


@virtually
async def test_a_review_gets_the_verdict_of_its_handler() -> None:
    app = an_app()
    held = await verdict(app, "/pause")
    assert held["allowed"] is True
    assert held["warnings"] == ["held"]
    assert msgspec.json.decode(base64.b64decode(str(held["patch"])))[0]["path"] == "/spec/paused"
    assert (await verdict(app, "/refuse"))["status"]["message"] == "not like this"  # type: ignore[index]


@virtually
async def test_a_refusal_may_be_raised_as_what_the_api_server_would_say() -> None:
    status = (await verdict(an_app(), "/find_invalid"))["status"]
    assert status == {
        "status": "Failure",
        "message": "spec.steps: too many",
        "reason": "Invalid",
        "code": 422,
    }


@virtually
async def test_trouble_of_our_own_is_not_a_refusal_of_the_user() -> None:
    app = an_app()
    assert (await app.respond("/cannot_look", REVIEW))[0] == 503
    assert (await app.respond("/misread", REVIEW))[0] == 400


@virtually
async def test_a_bug_in_one_handler_leaves_the_decision_to_the_failure_policy() -> None:
    app = an_app()
    assert (await app.respond("/fail", REVIEW))[0] == 500
    assert (await app.respond("/pause", REVIEW))[0] == 200


@virtually
async def test_a_handler_that_hangs_is_answered_for_before_the_api_server_gives_up() -> None:
    assert (await an_app().respond("/hang", REVIEW))[0] == 504
    assert LoopClock().mono() < 10


@virtually
async def test_what_is_no_review_and_where_no_webhook_is_are_told_apart() -> None:
    app = an_app()
    assert (await app.respond("/pause", b"{}"))[0] == 400
    assert (await app.respond("/nowhere", REVIEW))[0] == 404


@virtually
async def test_conversion_answers_or_says_why_not() -> None:
    app = an_app()
    done = msgspec.json.decode((await app.respond("/convert", CONVERSION))[1])["response"]
    assert done["convertedObjects"] == [{"apiVersion": "g/v2"}]
    failed = msgspec.json.decode((await app.respond("/cannot", CONVERSION))[1])["response"]
    assert failed["result"] == {"status": "Failure", "message": "g/v3 is not known"}


@virtually
async def test_admission_waits_for_the_caches_and_conversion_does_not() -> None:
    app = WebhookApp(LoopClock())
    app.route("/pause", pause)
    app.convert("/convert", to_v2)
    assert (await app.respond("/convert", CONVERSION))[0] == 200
    review = asyncio.ensure_future(app.respond("/pause", REVIEW))
    await asyncio.sleep(3)
    assert not review.done()
    app.open()
    assert (await review)[0] == 200


# --- over TLS ----------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "new_key", lambda: ec.generate_private_key(ec.SECP256R1()))


async def ignore(bundle: Bundle) -> None:
    return


async def post(port: int, trust: bytes, path: str, kind: str = "application/json") -> tuple[int, bytes]:
    """Status and body for REVIEW."""
    context = ssl.create_default_context(cadata=trust.decode())
    url = f"https://localhost:{port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=REVIEW, ssl=context, headers={"Content-Type": kind}) as response,
    ):
        return response.status, await response.read()


async def served_by(port: int) -> x509.Certificate:
    pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
    return x509.load_pem_x509_certificate(pem.encode())


async def test_reviews_arrive_over_tls_and_certificates_change_without_a_restart(tmp_path: Path) -> None:
    clock = WallClock()
    keeper = CertKeeper(FolderStore(tmp_path), clock, names=("localhost",), folder=tmp_path, on_bundle=ignore)
    first = await keeper.ensure()
    server = WebhookServer(an_app(clock), keeper.tls, host="127.0.0.1", port=0)
    assert not server.listening
    await server.start()
    try:
        assert server.listening
        status, body = await post(server.port, first.ca_cert, "/pause")
        assert (status, msgspec.json.decode(body)["response"]["allowed"]) == (200, True)
        assert (await post(server.port, first.ca_cert, "/pause", "text/plain"))[0] == 415
        assert await served_by(server.port) == x509.load_pem_x509_certificate(first.cert)
        (tmp_path / "cert.pem").write_bytes(b"spoilt")
        second = await keeper.ensure()
        assert await served_by(server.port) == x509.load_pem_x509_certificate(second.cert)
        assert second.cert != first.cert
        assert (await post(server.port, first.ca_cert, "/pause"))[0] == 200
    finally:
        await server.stop()
    assert not server.listening


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    keeper = CertKeeper(
        FolderStore(tmp_path), WallClock(), names=("localhost",), folder=tmp_path, on_bundle=ignore
    )
    await keeper.ensure()
    one = WebhookServer(an_app(), keeper.tls, host="127.0.0.1", port=0)
    await one.start()
    try:
        with pytest.raises(OSError, match="in use"):
            await WebhookServer(an_app(), keeper.tls, host="127.0.0.1", port=one.port).start()
    finally:
        await one.stop()
