"""`moonlet serve` in a process of its own, for benches that speak HTTP to it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Self

_END_S = 60.0


class ServerProcess:
    """Started and ready once constructed; ended by leaving the `with` block."""

    def __init__(self, model: str | None, options: Sequence[str] = ()) -> None:
        """model: None for K25-nano.  options: further ones of `moonlet serve`. Raises RuntimeError if it ends early."""
        command = [sys.executable, "-m", "moonlet", "--log-level", "warning", "serve", "--port", "0", *options]
        if model is not None:
            command += ["--model", model]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self._last_lines: deque[str] = deque(maxlen=5)
        ready: Queue[str | None] = Queue()
        # Read to its end: a full pipe would stop the server at its next log line.
        threading.Thread(target=self._read, args=(ready,), daemon=True).start()
        url = ready.get()
        if url is None:
            raise RuntimeError(f"moonlet serve ended: {' '.join(self._last_lines)}")
        self.url = url

    @property
    def pid(self) -> int:
        return self._process.pid

    def resident_bytes(self) -> int:
        """Memory it holds now, mapped files included."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def loop_cpu_s(self) -> float:
        """Processor seconds of its main thread, which runs the event loop: everything beside the engine."""
        fields = Path(f"/proc/{self.pid}/task/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Have it end in good order. Nothing if it has ended."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, ready: Queue[str | None]) -> None:
        assert self._process.stderr is not None
        url = ""
        for line in self._process.stderr:
            self._last_lines.append(line.strip())
            if match := re.match(r"listening on (\S+)", line):
                url = match[1]
            elif line.startswith("ready:"):
                ready.put(url)
        ready.put(None)
