"""What the jobs of a server run on, as its command line sets it."""

import os
import pathlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Host:
    """What all jobs of a server run on."""

    root: pathlib.Path
    """Mounts must lie below it; the commands' HOME and first directory."""
    slots: int = 4
    """Commands at once; the other jobs wait as RUNNABLE."""
    demand: str | None = None
    """What a command's first word `demand` is replaced with, as an image would have it."""
    endpoint: str = ""
    """This server, as the commands' AWS clients reach it."""
    stop_grace: float = 5
    """Seconds from SIGTERM to SIGKILL."""
    timeout_scale: float = 1
    """Seconds that a second of `attemptDurationSeconds` takes."""
    event_queue: str | None = None
    """The SQS queue that is told of every change of a job, as a rule of EventBridge would."""
    room: threading.Semaphore = field(init=False)
    events: "queue.SimpleQueue[Callable[[], object]]" = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        self.room = threading.Semaphore(self.slots)
        threading.Thread(target=self._send_events, daemon=True).start()

    def _send_events(self) -> None:
        while True:
            self.events.get()()

    def environment(self) -> dict[str, str]:
        """What a container finds beside the job's own variables."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
