"""How the engine runs, as opposed to what the model is. Each option is declared once, with default, help and unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from moonlet.errors import OptionError


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
    unit: str | None = None,
) -> Any:
    """A dataclass field that is also a command-line option and an environment variable.

    choices: the only strings allowed.  low, high: inclusive bounds of a number.  unit: shown after the help.
    A default of None allows None. A field of type tuple[str, ...] may be given more than once.
    """
    metadata = {"help": help, "choices": choices, "low": low, "high": high, "unit": unit}
    return field(default=default, metadata=metadata)


def check_options(options: Any) -> None:
    """Hold every field declared with `option` against its declaration. Raises OptionError naming the option."""
    for declared in fields(options):
        value, rule = getattr(options, declared.name), declared.metadata
        if not rule or (value is None and declared.default is None):
            continue
        _check_value(declared.name, value, rule, str(declared.type))


_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "tuple[str,": (tuple,),
}


def _check_value(name: str, value: Any, rule: Mapping[str, Any], annotation: str) -> None:
    if rule["choices"] is not None and value not in rule["choices"]:
        raise OptionError(f"{name} is {value!r}, expected one of {', '.join(rule['choices'])}")
    expected = _TYPES[annotation.split(" ")[0]]
    if not isinstance(value, expected) or (isinstance(value, bool) and expected != (bool,)):
        raise OptionError(f"{name} is {value!r}, expected a value of type {annotation}")
    low, high = rule["low"], rule["high"]
    # Written so that NaN is refused too.
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        raise OptionError(f"{name} is {value!r}, expected a value from {low} to {high}")


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Where and how a model runs. Construction refuses impossible values with OptionError."""

    device: str = option(
        "cpu",
        "Where attention, shared experts and the cache live; routed experts stay on the CPU unless they fit.",
        choices=("cpu", "cuda"),
    )
    num_threads: int | None = option(None, "CPU threads of the kernels; all cores if not given.", low=1, high=4096)
    isa: str = option(
        "auto",
        "Highest instruction set the kernels may use; auto takes the best this machine has.",
        choices=("auto", "scalar", "avx2", "avx512", "avx512bf16"),
    )
    activations: str = option(
        "int8",
        "Activations of the routed experts: int8 groups (fast) or bf16 (exact).",
        choices=("int8", "bf16"),
    )
    dense: str = option(
        "bf16",
        "Weights of attention, shared experts, dense layers and head: as stored, or made int8 while loading "
        "(about half the memory traffic, slightly less exact).",
        choices=("bf16", "int8"),
    )
    attention: str = option(
        "absorbed",
        "Form of latent attention: absorbed (same bits for any chunking) or expanded "
        "(less arithmetic for long prompts).",
        choices=("absorbed", "expanded"),
    )
    chunk_size: int = option(512, "Prompt tokens per forward pass.", low=1, high=65536, unit="tokens")
    context_length: int | None = option(
        None, "Context to reserve; what fits, up to the model's own limit, if not given.", low=1, unit="tokens"
    )
    cache_tokens: int | None = option(
        None,
        "Tokens the cache holds for all open requests and kept prefixes together; one context if not given.",
        low=1,
        unit="tokens",
    )
    mmproj: str | None = option(
        None, "GGUF file with the vision tower of a .gguf model; the mmproj*.gguf beside it if not given."
    )
    reference: bool = option(False, "Run the plain float32 torch reference instead of the kernels (slow).")

    def __post_init__(self) -> None:
        """Hold every value against its declaration and against the others. Raises OptionError."""
        check_options(self)
        if self.reference and self.device != "cpu":
            raise OptionError(
                "reference is set with device 'cuda', expected device 'cpu': the reference runs on the CPU"
            )


DEFAULT_KV_DIR_GIB = 16.0


@dataclass(frozen=True, slots=True)
class EngineOptions(ModelOptions):
    """A model's options, and how its requests are taken and what is kept of them."""

    kv_dir: str | None = option(
        None, "Folder that keeps computed prompts and replies for the next start; nothing is kept if not given."
    )
    kv_dir_gib: float | None = option(
        None, f"Most bytes in kv_dir, the oldest go first; {DEFAULT_KV_DIR_GIB:g} if not given.", low=0.001, unit="GiB"
    )
    max_running: int = option(16, "Requests whose steps are taken together.", low=1, high=1024)
    max_queue: int = option(64, "Requests that may wait beside the running ones before one is refused.", low=0)

    @property
    def kv_dir_bytes(self) -> int:
        """Most bytes in `kv_dir`."""
        return int((self.kv_dir_gib or DEFAULT_KV_DIR_GIB) * 2**30)

    def __post_init__(self) -> None:
        """As for ModelOptions."""
        ModelOptions.__post_init__(self)  # super() does not know the class that slots=True makes
        if self.kv_dir == "":
            raise OptionError("kv_dir is empty, expected the name of a folder; leave it out to keep nothing on disk")
        if self.kv_dir_gib is not None and self.kv_dir is None:
            raise OptionError(f"kv_dir_gib is {self.kv_dir_gib:g} without a kv_dir; name the folder it is meant for")
