"""String formats: what fits and what does not."""

from __future__ import annotations

import pytest

from kruise_rollouts.sandbox.custom.formats import FORMATS

FITTING = {
    "date": "2020-02-29",
    "date-time": "2020-01-02T03:04:05.123+02:00",
    "duration": "1h30m",
    "byte": "YWJj",
    "ipv4": "10.0.0.1",
    "ipv6": "::1",
    "cidr": "10.0.0.0/8",
    "mac": "00:1b:44:11:3a:b7",
    "hostname": "a.example.com",
    "email": "a@example.com",
    "uri": "https://example.com/a",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
    "uuid4": "123e4567-e89b-42d3-a456-426614174000",
    "k8s-short-name": "a-1",
    "k8s-long-name": "a.b-1",
    "hexcolor": "#a0b1c2",
}


@pytest.mark.parametrize(("name", "text"), FITTING.items())
def test_a_format_takes_what_fits_and_nothing_around_it(name: str, text: str) -> None:
    fits = FORMATS[name]
    assert fits(text)
    assert not fits(f"{text}\n")
    assert not fits(f" {text}")
    assert name == "byte" or not fits("")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("date", "2020-02-30"),
        ("date-time", "2020-01-02 03:04:05Z"),
        ("date-time", "2020-13-02T03:04:05Z"),
        ("duration", "5"),
        ("byte", "@"),
        ("ipv4", "10.0.0.256"),
        ("cidr", "10.0.0.1"),
        ("hostname", "a_b"),
        ("uri", "example"),
        ("uuid", "123"),
        ("uuid3", "123e4567-e89b-42d3-a456-426614174000"),
        ("k8s-short-name", "A"),
    ],
)
def test_a_format_refuses_what_does_not_fit(name: str, text: str) -> None:
    assert not FORMATS[name](text)
