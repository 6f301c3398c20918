"""The rivals that can be run: one row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rival:
    """driver: the module beside this one that runs it.  reads: what it opens.

    whole_model: False for one that has no more than the routed experts; then a single layer of them is raced.
    """

    driver: str
    packages: str
    install: str
    reads: Literal["gguf", "directory"]
    whole_model: bool = True


RIVALS: Mapping[str, Rival] = MappingProxyType(
    {
        "llama.cpp": Rival("drive_llama_cpp", "xllamacpp or llama-cpp-python", "pip install xllamacpp", "gguf"),
        "kt-kernel": Rival("drive_kt_kernel", "kt-kernel", "pip install kt-kernel", "directory", whole_model=False),
        "transformers": Rival(
            "drive_transformers", "transformers", "pip install transformers compressed-tensors accelerate", "directory"
        ),
    }
)
"""By the name that --rival takes."""
