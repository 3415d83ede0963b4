"""What operators see of the process: log lines and Prometheus metrics.

Labels have few values (controllers, kinds, outcomes), never names of objects. What is worth a line or a number is
decided where it happens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal, TextIO

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kruise_rollouts import __version__

from .log import FIELDS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RECONCILE_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)  # seconds
WEBHOOK_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    found = getattr(record, FIELDS, None)
    return found if isinstance(found, dict) else {}


def _plain(value: object) -> object:
    """What JSON can show: anything unknown as text."""
    return str(value)


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    _encode = msgspec.json.Encoder(enc_hook=_plain).encode

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return self._encode(line).decode()


class TextLines(logging.Formatter):
    """One line for people: time, level, message, pairs."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        pairs = "".join(f" {key}={_quoted(value)}" for key, value in _fields(record).items())
        trace = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} {record.levelname:7} {record.getMessage()}{pairs}{trace}"


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() for c in text) else text


def log_to(stream: TextIO, *, style: Literal["json", "text"] = "json", level: int = logging.INFO) -> None:
    """Sends all log lines of the process to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("aiohttp").setLevel(max(level, logging.WARNING))
    logging.getLogger("asyncio").setLevel(max(level, logging.WARNING))


class _Levels(Collector):
    """Gauges read when `read()` is called, on the event loop, and shown from a thread."""

    def __init__(self) -> None:
        self.sources: list[tuple[str, str, str, str, Callable[[], float]]] = []
        self._families: dict[str, GaugeMetricFamily] = {}

    def read(self) -> None:
        families: dict[str, GaugeMetricFamily] = {}
        for name, text, label, value, level in self.sources:
            family = families.setdefault(name, GaugeMetricFamily(name, text, labels=[label] if label else []))
            family.add_metric([value] if label else [], level())
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families.values()


class Metrics:
    """The metrics of one process. Satisfies loop.Meter."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._levels = _Levels()
        self.registry.register(self._levels)
        ProcessCollector(registry=self.registry)
        self._reconciles = Counter(
            "kruise_rollout_reconcile_total",
            "Reconciles by controller and outcome (ok, conflict, refused, timeout, bug).",
            ("controller", "outcome"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "kruise_rollout_reconcile_seconds",
            "Time one reconcile took.",
            ("controller",),
            buckets=RECONCILE_BUCKETS,
            registry=self.registry,
        )
        self._webhooks = Histogram(
            "kruise_rollout_webhook_seconds",
            "Time one review took, by path and HTTP status.",
            ("path", "status"),
            buckets=WEBHOOK_BUCKETS,
            registry=self.registry,
        )
        self._requests = Counter(
            "kruise_rollout_api_requests_total",
            "Requests to the API server by method and status (0: no answer).",
            ("method", "status"),
            registry=self.registry,
        )
        self._dropped = Counter(
            "kruise_rollout_events_dropped_total",
            "Events that could not be told: the API server was away for too long or refused them, or they were too many.",
            registry=self.registry,
        )
        build = Gauge(
            "kruise_rollout_build_info", "The version that runs.", ("version",), registry=self.registry
        )
        build.labels(__version__).set(1)

    def reconciled(self, controller: str, outcome: str, seconds: float) -> None:
        self._reconciles.labels(controller, outcome).inc()
        self._seconds.labels(controller).observe(seconds)

    def reviewed(self, path: str, status: int, seconds: float) -> None:
        """One webhook call was answered."""
        self._webhooks.labels(path, str(status)).observe(seconds)

    def requested(self, method: str, status: int) -> None:
        """One request was sent to the API server; `status` 0: it was not answered."""
        self._requests.labels(method, str(status)).inc()

    def event_dropped(self) -> None:
        """One Event was given up."""
        self._dropped.inc()

    def level(
        self, name: str, text: str, read: Callable[[], float], *, label: str = "", value: str = ""
    ) -> None:
        """A gauge that `read` gives when asked, for one `value` of `label`; e.g. the depth of one queue."""
        self._levels.sources.append((f"kruise_rollout_{name}", text, label, value, read))

    async def show(self) -> bytes:
        """The exposition text, made in a thread: with many series it takes long enough to delay a lease."""
        self._levels.read()
        return await asyncio.to_thread(generate_latest, self.registry)
