"""The one thread that owns the model, and the door to it.

Everybody else posts what they want done between two steps, and reads what their request delivers. The thread starts
with the first request, sleeps while nobody wants a token, and ends when the worker is closed or forgotten.
"""

from __future__ import annotations

import atexit
import logging
import math
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue

from moonlet.engine.core import EngineCore
from moonlet.engine.request import Deliver, Request
from moonlet.errors import EngineClosedError, QueueFullError

logger = logging.getLogger(__name__)

Task = Callable[[], object]
Inbox = SimpleQueue[Task | None]

_MAX_RETRY_AFTER_S = 60


class Worker:
    """Safe to use from any thread; `wake` also from signal handlers and the garbage collector."""

    def __init__(self, core: EngineCore, *, max_running: int, max_queue: int) -> None:
        """max_running: requests the core runs side by side.  max_queue: how many more may be open before one is
        refused."""
        self.core = core
        self._max_running = max_running
        self._max_open = max_running + max_queue
        # SimpleQueue.put may interrupt itself, which makes it fit for signal handlers and destructors.
        self._inbox: Inbox = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._num_submitted = 0
        # The thread knows the core and the inbox alone, so that a worker nobody refers to ends it.
        weakref.finalize(self, self._inbox.put, None)

    def submit(self, request: Request, deliver: Deliver) -> None:
        """Queue `request` and start it in its turn; its outputs go to `deliver`.

        Raises QueueFullError, with a hint when to try again, or EngineClosedError.
        """
        request.deliver = deliver
        with self._lock:
            self._check_open()
            num_open = self._num_submitted - self.core.num_ended
            if num_open >= self._max_open:
                seconds = math.ceil(self.core.mean_request_s / self._max_running)
                raise QueueFullError(num_open, retry_after_s=max(1, min(seconds, _MAX_RETRY_AFTER_S)))
            self._num_submitted += 1
            request.arrival = self._num_submitted
            self._start()
            self._inbox.put(partial(self.core.submit, request))

    def wake(self) -> None:
        """Have the thread look at what requests want, and end those that their readers left."""
        self._inbox.put(self.core.end_left)

    def call(self, task: Task) -> None:
        """Run `task` on the thread between two steps, and wait for it. Raises what it raises, or EngineClosedError."""
        done: Future[None] = Future()

        def run() -> None:
            try:
                task()
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        with self._lock:
            self._check_open()
            self._start()
            self._inbox.put(run)
        done.result()

    def close(self) -> None:
        """End every open request with EngineClosedError and the thread after the pass in hand. Nothing on a second
        call."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
            self._inbox.put(None)
        if thread is not None:
            thread.join()

    def _check_open(self) -> None:
        if self._is_closed:
            raise EngineClosedError("the engine is closed: it takes no more requests")

    def _start(self) -> None:
        if self._thread is not None:
            return
        inbox = self._inbox

        def stop_at_exit() -> None:
            # A thread that is inside a kernel while the interpreter goes away would bring the process down with it.
            inbox.put(None)
            thread.join()

        # A daemon, or a reply left open would keep the program from ending; `stop_at_exit` sees to an orderly end. It
        # stays registered beyond the thread's last step, since giving up the model takes time too.
        thread = threading.Thread(target=_serve, args=(self.core, inbox), name="moonlet-engine", daemon=True)
        atexit.register(stop_at_exit)
        thread.start()
        self._thread = thread


def _serve(core: EngineCore, inbox: Inbox) -> None:
    while True:
        try:
            task = inbox.get_nowait() if core.has_work else inbox.get()
        except Empty:
            try:
                core.step()
            except Exception as error:  # a mistake of ours must not leave readers waiting for ever
                logger.exception("the engine failed between two passes; all open requests end")
                core.fail_all(error)
            continue
        if task is None:
            core.fail_all(EngineClosedError("the engine was closed while the reply was being made"))
            return
        task()
