"""How both programs end: with an exit status, once what they printed has been written, or with one line of why not."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence

from kruise_rollouts.kube.errors import ApiError

from .errors import CommandError, server_error

UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what a full or broken disk answers


def ended(run: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> int:
    """Runs one command; the exit status."""
    try:
        code = _status(run, arguments)
        sys.stdout.flush()  # here, where it may fail: the interpreter's own at the end would show a traceback
    except BrokenPipeError:  # whoever read our output has seen enough
        _silence()
        return 0
    except OSError as error:
        if error.errno not in UNWRITTEN:
            raise
        _silence()
        print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return code


def _status(run: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> int:
    try:
        run(arguments)
    except CommandError as error:
        if error.message:
            print(error.message, file=sys.stderr)
        return error.code
    except ApiError as error:
        print(server_error(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except SystemExit as done:  # argparse has printed a help text or the version
        return int(done.code or 0)
    return 0


def _silence() -> None:
    """What is still buffered goes nowhere; the interpreter would try to write it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
