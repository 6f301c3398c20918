"""How the server runs: each option declared once, with default and help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moonlet.config.options import check_options, option
from moonlet.errors import OptionError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where the server listens, whom it serves and what it allows. Construction refuses contradictions."""

    host: str = option("127.0.0.1", "Address to listen on. Anything but this machine needs --api-key or --insecure.")
    port: int = option(8000, "Port to listen on; 0 takes a free one.", low=0, high=65535)
    api_key: tuple[str, ...] = option((), "A key that clients must send; may be given more than once.")
    api_key_file: str | None = option(None, "A file of such keys, one a line; lines that begin with # are skipped.")
    insecure: bool = option(False, "Listen beyond this machine without a key.")
    cors: tuple[str, ...] = option((), "An origin whose pages may call the server; * for any. Off if not given.")
    allowed_host: tuple[str, ...] = option(
        (), "A further name under which clients reach the server; requests under other names are refused."
    )
    served_name: str | None = option(None, "The model's name for clients; the name of --model if not given.")
    strict_model: bool = option(False, "Refuse requests that name another model, instead of serving them all the same.")
    param_policy: str = option(
        "open",
        "Which sampling parameters are accepted: open takes the documented ranges, vendor only the official K2.5 "
        "values, as the Kimi Vendor Verifier demands.",
        choices=("open", "vendor"),
    )
    tool_rendering: str = option(
        "typed",
        "How tools reach the prompt: typed gives every schema a TypeScript form, official shows all tools as JSON "
        "where one has none, as the published encoder does.",
        choices=("typed", "official"),
    )
    reasoning_field: str = option(
        "reasoning_content",
        "Where chat replies carry the thinking; both adds a field named reasoning.",
        choices=("reasoning_content", "both"),
    )
    preserve_thinking: bool = option(
        False, "Obey requests to keep the thinking of finished turns, where the template can."
    )
    allow_remote_media: bool = option(False, "Fetch images and videos from public http(s) addresses.")
    max_body_mib: int = option(128, "Largest request body.", low=1, high=4096, unit="MiB")
    max_output_tokens: int | None = option(None, "Most tokens of any reply; longer wishes are cut.", low=1)
    max_prompt_tokens: int | None = option(None, "Longest prompt; the context decides if not given.", low=1)
    request_timeout_s: float = option(3600.0, "Longest time for one request.", low=0.1, unit="s")
    body_timeout_s: float = option(60.0, "Longest time to send a request's body.", low=1, unit="s")
    keep_alive_s: float = option(10.0, "Silence after which a stream says that it lives.", low=0.01, unit="s")
    shutdown_s: float = option(30.0, "Time that running requests get to finish when the server stops.", low=0, unit="s")

    def __post_init__(self) -> None:
        check_options(self)
        if not self.is_loopback and not self.has_keys and not self.insecure:
            raise OptionError(
                f"host is {self.host!r} and there is no key: anyone who reaches this machine could use the model; "
                "give --api-key, or --insecure if that is meant"
            )

    @property
    def is_loopback(self) -> bool:
        return self.host in _LOOPBACK or self.host.startswith("127.")

    @property
    def has_keys(self) -> bool:
        return bool(self.api_key) or self.api_key_file is not None

    def all_keys(self) -> frozenset[str]:
        """All keys, those of the file included. Raises OptionError for a file that cannot be read or holds none."""
        keys = {key for key in self.api_key if key}
        if self.api_key_file is not None:
            try:
                lines = Path(self.api_key_file).read_text(encoding="utf-8").split("\n")
            except (OSError, UnicodeDecodeError) as error:
                raise OptionError(f"api_key_file {self.api_key_file}: cannot be read ({error})") from None
            found = {line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")}
            if not found:
                raise OptionError(f"api_key_file {self.api_key_file}: holds no key, expected one a line")
            keys |= found
        return frozenset(keys)
