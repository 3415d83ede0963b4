"""How a command ends badly: a message for stderr and an exit code. Raised anywhere in cli/, printed by main."""

from __future__ import annotations

from kruise_rollouts.kube.errors import ApiError


class CommandError(Exception):
    """Ends the command; `message` is printed as it is."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def refusal(message: str) -> CommandError:
    return CommandError(f"error: {message}")


def server_error(error: ApiError) -> str:
    """An API server's refusal, worded as kubectl words it."""
    if error.code == 0:
        return f"error: {error.message}"
    return f"Error from server ({error.reason}): {error.message}"
