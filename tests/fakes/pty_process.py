"""A program in a terminal of its own, driven as a user would."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping, Sequence


class PtyProcess:
    """`expect` reads until a text has appeared; everything shown so far is in `screen`."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        self._master, self._slave = pty.openpty()
        # The first terminal a new session opens becomes its own, which is what makes Ctrl+C arrive. The shell opens it,
        # since Python code between fork and exec can deadlock beside the threads of the kernels.
        opens = ["/bin/sh", "-c", 'exec "$@" <"$0" >"$0" 2>&1', os.ttyname(self._slave)]
        self._process = subprocess.Popen([*opens, *arguments], env=dict(env), start_new_session=True)
        self.screen = ""
        self._seen = 0

    def send(self, text: str) -> None:
        os.write(self._master, text.encode())

    def interrupt_typing(self) -> None:
        """Ctrl+C at the prompt, once the screen has been still for a moment, as a hand would press it.

        Python's readline overlooks a signal that arrives between its last echo and its wait for the next key.
        """
        while self._read(0.3):
            pass
        self.send("\x03")

    def expect(self, text: str, timeout_s: float = 60) -> None:
        """Wait until `text` appears after what was expected last."""
        deadline = time.monotonic() + timeout_s
        while text not in self.screen[self._seen :]:
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{text!r} did not appear; the screen shows {self.screen[self._seen :]!r}")
        self._seen = self.screen.index(text, self._seen) + len(text)

    def hang_up(self) -> None:
        """Close the terminal."""
        self._close_slave()
        os.close(self._master)
        self._master = -1

    def wait(self, timeout_s: float = 30) -> int:
        """The exit code, once the program has ended; what it still shows is read."""
        while self._master >= 0 and self._read(timeout_s):
            pass
        return self._process.wait(timeout_s)

    def close(self) -> None:
        if self._master >= 0:
            self.hang_up()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _close_slave(self) -> None:
        """Once the program has the terminal open: kept by us, it would never look closed to the other end."""
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1

    def _read(self, timeout_s: float) -> bool:
        """Take what the program has written. False at its end, or if nothing comes in time."""
        ready, _, _ = select.select([self._master], [], [], max(0, timeout_s))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux's way to say that no program holds the other end
            return False
        self._close_slave()
        self.screen += data.decode(errors="replace")
        return bool(data)
