"""What a container said of its end: in its termination log, or last in its log."""

from __future__ import annotations

import os
from pathlib import Path

from tidegate.kube.objects import Object
from tidegate.node.lifecycle.mounting import termination_log

# As kubelet has them.
_MESSAGE_BYTES = 4096
_LOG_BYTES = 2048
_LOG_LINES = 80

# A line of a log has its time, its stream and its tag before the text.
_READ_BYTES = 4 * _LOG_BYTES + _LOG_LINES * 64


def last_words(attempt: Path, container: Object, *, failed: bool) -> str:
    """The termination message; blocks.

    Args:
        attempt: the directory of the start.
        container: with its `terminationMessagePolicy`.
        failed: it ended with an error, so that its log may speak for it.
    """
    message = _end_of(termination_log(attempt), _MESSAGE_BYTES)
    if message or not failed:
        return message
    if container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        return ""
    lines = _end_of(attempt / "log", _READ_BYTES).splitlines()[-_LOG_LINES:]
    text = "\n".join(line.split(" ", 3)[3] for line in lines if line.count(" ") >= 3)
    return text.encode()[-_LOG_BYTES:].decode(errors="ignore")


def _end_of(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - limit))
            return file.read(limit).decode(errors="replace")
    except OSError:
        return ""
