"""Every error a caller can meet, in one tree.

MoonletError
├── UserError                 the user can mend it; the command line prints one line and exits with 2
│   ├── ConfigError           config.json: missing or impossible facts, unsupported architecture
│   ├── CheckpointError       files that are missing, cut short, mis-shaped, mis-typed or hold NaN
│   ├── DownloadError         a hub id that cannot be fetched
│   ├── PromptError           messages, tools or sampling parameters that cannot be obeyed
│   │   ├── ContextLengthError    the prompt does not fit the context
│   │   └── MediaError            an image or video that cannot be read or is not allowed
│   ├── TemplateError         the chat template fails or exceeds its limits
│   ├── OutOfMemoryError      the plan does not fit this machine, said before loading
│   └── OptionError           an option value or a combination of options
├── QueueFullError            more requests are open than the engine takes; says when to try again
├── EngineClosedError         the engine is shutting down or shut
├── ConstraintError           a grammar led a reply to where no token is allowed
└── ShapeError                a tensor given to a kernel or a layer has the wrong shape or type: our own mistake
"""

from __future__ import annotations


class MoonletError(Exception):
    """Base of all errors raised on purpose by moonlet."""


class UserError(MoonletError):
    """A mistake the user can mend: one line naming what, found, expected and the next step."""


class ConfigError(UserError):
    """config.json lacks a fact, holds an impossible one, or describes an unsupported architecture."""


class CheckpointError(UserError):
    """A checkpoint file is missing, cut short, mis-shaped, mis-typed or holds impossible values."""


class DownloadError(UserError):
    """A hub id cannot be fetched: offline, unknown, or refused by the hub."""


class PromptError(UserError):
    """Messages, tools or sampling parameters that cannot be obeyed."""


class ContextLengthError(PromptError):
    """The prompt (and what is asked of the reply) does not fit the context."""


class MediaError(PromptError):
    """An image or a video that is missing, damaged, too large, of an unknown kind, or not allowed."""


class TemplateError(UserError):
    """The chat template fails or exceeds its limits."""


class OutOfMemoryError(UserError):
    """What was asked for does not fit this machine's memory; raised before anything is loaded."""


class OptionError(UserError):
    """An option has an impossible value or contradicts another."""


class QueueFullError(MoonletError):
    """The engine has as many open requests as it takes."""

    def __init__(self, num_open: int, retry_after_s: int) -> None:
        """retry_after_s: whole seconds after which a place should be free."""
        super().__init__(f"{num_open} requests are open, which is all the engine takes; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class EngineClosedError(MoonletError):
    """The engine is closed, or was closed while a reply was being made."""


class ConstraintError(MoonletError):
    """Constrained decoding reached a place where no token is allowed; only that reply fails."""


class ShapeError(MoonletError):
    """A tensor has the wrong shape or type for the operation: a mistake of the program, not of its user."""
