"""Certificates: good for their names, renewed in time, never disagreeing with the published caBundle."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fake_server import FakeServer
from virtual import virtually

from kruise_rollouts.kube.errors import InternalError
from kruise_rollouts.kube.objects import SECRET
from kruise_rollouts.runtime import certs
from kruise_rollouts.runtime.certs import Bundle, bundle_for
from kruise_rollouts.runtime.certstore import CertKeeper, FolderStore, SecretStore
from kruise_rollouts.runtime.clock import LoopClock

NAMES = ("webhook.kruise.svc", "localhost")
START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SECRET_KEY = ("secrets", "kruise", "certs")


@pytest.fixture(scope="module", autouse=True)
def quick_keys():
    """RSA keys take a tenth of a second each."""
    rsa_key, certs.new_key = certs.new_key, lambda: ec.generate_private_key(ec.SECP256R1())
    yield rsa_key
    certs.new_key = rsa_key


@pytest.fixture(scope="module")
def fresh(quick_keys) -> Bundle:
    return bundle_for(NAMES, START, None)


def trusts(ca_bundle: bytes, served: bytes) -> bool:
    """Whether a client with `ca_bundle` accepts the `served` certificate."""
    cert = x509.load_pem_x509_certificate(served)
    for authority in x509.load_pem_x509_certificates(ca_bundle):
        try:
            cert.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def authorities(bundle: Bundle) -> int:
    return bundle.ca_cert.count(b"BEGIN CERTIFICATE")


def test_a_new_bundle_is_trusted_and_carries_its_names(fresh: Bundle) -> None:
    cert = x509.load_pem_x509_certificate(fresh.cert)
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == list(NAMES)
    assert trusts(fresh.ca_cert, fresh.cert)
    key = serialization.load_pem_private_key(fresh.key, None)
    assert key.public_key() == cert.public_key()


def test_addresses_become_addresses() -> None:
    bundle = bundle_for(("10.0.0.1", "fd00::1", "localhost"), START, None)
    names = x509.load_pem_x509_certificate(bundle.cert).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert len(names.value.get_values_for_type(x509.IPAddress)) == 2


@pytest.mark.parametrize("age", [0, 1, 365, 2900])
def test_a_good_bundle_is_left_alone(fresh: Bundle, age: int) -> None:
    assert bundle_for(NAMES, START + age * DAY, fresh) == fresh


@pytest.mark.parametrize("spoilt", ["ca_key", "ca_cert", "key", "cert"])
@pytest.mark.parametrize("how", [b"", b"garbage"])
def test_what_is_spoilt_is_replaced(fresh: Bundle, spoilt: str, how: bytes) -> None:
    parts = {f: getattr(fresh, f) for f in ("ca_key", "ca_cert", "key", "cert")}
    bundle = bundle_for(NAMES, START + DAY, Bundle(**{**parts, spoilt: how}))
    assert trusts(bundle.ca_cert, bundle.cert)
    served = x509.load_pem_x509_certificate(bundle.cert)
    key = serialization.load_pem_private_key(bundle.key, None)
    assert key.public_key() == served.public_key()
    if spoilt in ("key", "cert"):
        assert bundle.ca_cert == fresh.ca_cert, "the published caBundle need not change"


def test_other_names_get_another_certificate_of_the_same_authority(fresh: Bundle) -> None:
    bundle = bundle_for(("elsewhere.svc",), START + DAY, fresh)
    assert bundle.cert != fresh.cert
    assert bundle.ca_cert == fresh.ca_cert


def test_an_expired_bundle_is_replaced_at_once(fresh: Bundle) -> None:
    bundle = bundle_for(NAMES, START + 4000 * DAY, fresh)
    assert authorities(bundle) == 1
    assert trusts(bundle.ca_cert, bundle.cert) and not trusts(fresh.ca_cert, bundle.cert)


def test_a_rotation_never_serves_what_the_published_bundle_does_not_trust(fresh: Bundle) -> None:
    """Walks through the years in steps; the published caBundle lags one step behind what is served."""
    now, bundle, published = START, fresh, fresh.ca_cert
    counts: list[int] = []
    while now < START + 6000 * DAY:
        now += 120 * DAY
        for _ in range(3):
            bundle = bundle_for(NAMES, now, bundle)
            assert trusts(published, bundle.cert), now
            assert certs.ends(bundle) > now
            published = bundle.ca_cert
            counts.append(authorities(bundle))
            now += timedelta(hours=2)
    assert max(counts) == 2
    assert 1 in counts[counts.index(2) :], "the old authority is dropped in the end"
    assert not trusts(published, fresh.cert)


def test_after_years_without_a_look_a_new_authority_is_still_published_before_it_is_used(
    fresh: Bundle,
) -> None:
    late = START + 3600 * DAY
    published = bundle_for(NAMES, late, fresh)
    assert (authorities(published), published.cert) == (2, fresh.cert)
    soon = bundle_for(NAMES, late + timedelta(minutes=30), published)
    assert soon.cert == fresh.cert
    served = bundle_for(NAMES, late + timedelta(hours=2), soon)
    assert served.cert != fresh.cert
    assert trusts(published.ca_cert, served.cert)


# --- where they are kept -----------------------------------------------------------------------------------


class Published:
    """What the keeper handed out."""

    def __init__(self) -> None:
        self.bundles: list[Bundle] = []

    async def __call__(self, bundle: Bundle) -> None:
        self.bundles.append(bundle)


def a_keeper(server: FakeServer, folder: Path, published: Published) -> CertKeeper:
    store = SecretStore(server, "kruise", "certs")
    return CertKeeper(store, LoopClock(), names=NAMES, folder=folder, on_bundle=published)


@pytest.fixture
def in_secret(fresh: Bundle) -> dict[str, bytes]:
    return {
        "ca-key.pem": fresh.ca_key,
        "ca-cert.pem": fresh.ca_cert,
        "key.pem": fresh.key,
        "tls.key": fresh.key,
        "cert.pem": fresh.cert,
        "tls.crt": fresh.cert,
    }


def test_a_missing_secret_is_made_with_all_its_keys(tmp_path: Path) -> None:
    @virtually
    async def story() -> None:
        server, published = FakeServer(SECRET), Published()
        bundle = await a_keeper(server, tmp_path, published).ensure()
        data = server.objects[SECRET_KEY]["data"]
        assert set(data) == {"ca-key.pem", "ca-cert.pem", "key.pem", "tls.key", "cert.pem", "tls.crt"}
        assert published.bundles == [bundle]
        assert (tmp_path / "tls.crt").read_bytes() == bundle.cert

    story()


def test_replicas_that_start_together_end_with_the_same_certificates(tmp_path: Path) -> None:
    @virtually
    async def story() -> None:
        server = FakeServer(SECRET)
        one, two = (
            a_keeper(server, tmp_path / "1", Published()),
            a_keeper(server, tmp_path / "2", Published()),
        )
        bundles: list[Bundle] = []

        async def first_is_faster() -> None:
            bundles.append(await one.ensure())

        original = server.request

        async def slow_create(method: str, path: str, **named):
            if method == "POST" and not bundles:
                server.request = original  # type: ignore[method-assign]
                await first_is_faster()
            return await original(method, path, **named)

        server.request = slow_create  # type: ignore[method-assign]
        bundles.append(await two.ensure())
        assert bundles[0] == bundles[1]

    story()


def test_a_valid_secret_is_used_as_it_is_and_its_labels_are_kept(
    tmp_path: Path, fresh: Bundle, in_secret
) -> None:
    @virtually
    async def story() -> None:
        server = FakeServer(SECRET)
        data = {k: base64.b64encode(v).decode() for k, v in in_secret.items()}
        server.put(*SECRET_KEY, data=data, metadata={"labels": {"team": "a"}})
        bundle = await a_keeper(server, tmp_path, Published()).ensure()
        assert bundle == fresh
        assert [verb for verb, _, _ in server.calls] == ["GET"]
        server.put(
            *SECRET_KEY, data={**data, "cert.pem": "", "extra": "aGk="}, metadata={"labels": {"team": "a"}}
        )
        await a_keeper(server, tmp_path, Published()).ensure()
        stored = server.objects[SECRET_KEY]
        assert stored["metadata"]["labels"] == {"team": "a"}
        assert stored["data"]["extra"] == "aGk="

    story()


def test_replicas_that_renew_together_end_with_the_same_certificates(tmp_path: Path) -> None:
    @virtually
    async def story() -> None:
        server = FakeServer(SECRET)
        await a_keeper(server, tmp_path / "0", Published()).ensure()
        server.objects[SECRET_KEY]["data"]["cert.pem"] = ""  # to be renewed
        one, two = (
            a_keeper(server, tmp_path / "1", Published()),
            a_keeper(server, tmp_path / "2", Published()),
        )
        bundles: list[Bundle] = []
        original = server.request

        async def slow_patch(method: str, path: str, **named):
            if method == "PATCH" and not bundles:
                server.request = original  # type: ignore[method-assign]
                bundles.append(await one.ensure())
            return await original(method, path, **named)

        server.request = slow_patch  # type: ignore[method-assign]
        bundles.append(await two.ensure())
        assert bundles[0] == bundles[1]

    story()


def test_a_deleted_secret_is_made_again_from_what_is_served(tmp_path: Path) -> None:
    @virtually
    async def story() -> None:
        server, published = FakeServer(SECRET), Published()
        keeper = a_keeper(server, tmp_path, published)
        before = await keeper.ensure()
        server.drop(*SECRET_KEY)
        assert await keeper.ensure() == before
        assert SECRET_KEY in server.objects

    story()


def test_another_replicas_renewal_is_picked_up(tmp_path: Path) -> None:
    @virtually
    async def story() -> None:
        server, published = FakeServer(SECRET), Published()
        keeper = a_keeper(server, tmp_path, published)
        await keeper.ensure()
        task = asyncio.create_task(keeper.run())
        server.drop(*SECRET_KEY)
        other = await a_keeper(server, tmp_path / "other", Published()).ensure()
        server.fail("GET", InternalError("for a moment"))
        await asyncio.sleep(1300)
        assert published.bundles[-1] == other
        assert (tmp_path / "tls.crt").read_bytes() == other.cert
        task.cancel()

    story()


def test_who_sees_a_change_is_looked_for_at_once_but_not_all_the_time(tmp_path: Path) -> None:
    @virtually
    async def story() -> None:
        server, published = FakeServer(SECRET), Published()
        keeper = a_keeper(server, tmp_path, published)
        before = await keeper.ensure()
        task = asyncio.create_task(keeper.run())
        await asyncio.sleep(5)
        server.drop(*SECRET_KEY)
        keeper.look_again()
        await asyncio.sleep(0.5)
        assert SECRET_KEY in server.objects and published.bundles[-1] == before
        looks = len(published.bundles)
        for _ in range(6000):
            keeper.look_again()
            await asyncio.sleep(0.1)
        assert 3 <= len(published.bundles) - looks <= 11
        task.cancel()

    story()


def test_private_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    @virtually
    async def story() -> None:
        await a_keeper(FakeServer(SECRET), tmp_path / "certs", Published()).ensure()

    story()
    assert (tmp_path / "certs").stat().st_mode & 0o077 == 0
    assert all(f.stat().st_mode & 0o077 == 0 for f in (tmp_path / "certs").iterdir())
    assert not (tmp_path / "certs" / "ca-key.pem").exists(), "the CA's key has no business on disk"


def test_a_folder_can_stand_in_for_the_secret(tmp_path: Path) -> None:
    @virtually
    async def story() -> None:
        first = CertKeeper(
            FolderStore(tmp_path), LoopClock(), names=NAMES, folder=tmp_path, on_bundle=Published()
        )
        second = CertKeeper(
            FolderStore(tmp_path), LoopClock(), names=NAMES, folder=tmp_path, on_bundle=Published()
        )
        assert await first.ensure() == await second.ensure()

    story()


def test_keys_are_written_as_older_readers_of_the_secret_expect_them(quick_keys, tmp_path: Path) -> None:
    quick, certs.new_key = certs.new_key, quick_keys
    try:
        bundle = bundle_for(NAMES, START, None)
    finally:
        certs.new_key = quick
    assert bundle.key.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert bundle.ca_key.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
