"""A logger that takes key-value pairs: `log.info("step changed", rollout=key, step=2)`.

Messages are constant, lower-case; what varies is a pair. How a line looks is telemetry.py's matter.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

FIELDS = "fields"  # the attribute of a LogRecord that holds the pairs


class Log:
    """A stdlib logger with bound pairs. Standard loggers of libraries go to the same handlers."""

    __slots__ = ("_bound", "_logger")

    def __init__(self, logger: logging.Logger, bound: Mapping[str, object]) -> None:
        self._logger = logger
        self._bound = bound

    def bind(self, **pairs: object) -> Log:
        """The same logger, with `pairs` on every line."""
        return Log(self._logger, {**self._bound, **pairs})

    @property
    def is_verbose(self) -> bool:
        """Whether debug lines are written: what costs something to say is worked out only then."""
        return self._logger.isEnabledFor(logging.DEBUG)

    def debug(self, message: str, **pairs: object) -> None:
        self._write(logging.DEBUG, message, None, pairs)

    def info(self, message: str, **pairs: object) -> None:
        self._write(logging.INFO, message, None, pairs)

    def warning(self, message: str, **pairs: object) -> None:
        self._write(logging.WARNING, message, None, pairs)

    def error(self, message: str, *, bug: BaseException | None = None, **pairs: object) -> None:
        """`bug`: an exception whose stack trace belongs in the log."""
        self._write(logging.ERROR, message, bug, pairs)

    def _write(
        self, level: int, message: str, bug: BaseException | None, pairs: Mapping[str, object]
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(
                level, message, exc_info=bug, extra={FIELDS: {**self._bound, **pairs}}, stacklevel=3
            )


def log_of(name: str) -> Log:
    """The Log of a module: `log = log_of(__name__)`."""
    return Log(logging.getLogger(name), {})
