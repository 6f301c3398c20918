"""One layer of routed experts in kt-kernel (method RAWINT4) on the CPU. Runs inside worker.py."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import random
import time
from pathlib import Path
from typing import Any

_CHUNK = 512


def name() -> str:
    """Raises ImportError if it is absent."""
    version = importlib.metadata.version("kt-kernel")
    _without_pinned_memory(importlib.import_module("torch"))
    importlib.import_module("kt_kernel")
    return f"kt-kernel {version}"


def _without_pinned_memory(torch: Any) -> None:
    """kt-kernel asks for page-locked buffers, which torch refuses to make where there is no GPU."""
    if torch.cuda.is_available():
        return
    for maker in ("empty", "zeros"):
        made = getattr(torch, maker)

        def plain(*sizes: Any, _made: Any = made, **options: Any) -> Any:
            options.pop("pin_memory", None)
            return _made(*sizes, **options)

        setattr(torch, maker, plain)


def chosen_experts(token_id: int, num_experts: int, top_k: int) -> list[int]:
    """Ascending experts for a token; the other side of the race chooses the same."""
    return sorted(random.Random(token_id).sample(range(num_experts), top_k))


class Engine:
    """The first expert layer of a published checkpoint."""

    def __init__(self, model: str, num_threads: int, context_length: int) -> None:
        del context_length
        self._torch: Any = importlib.import_module("torch")
        kt_kernel: Any = importlib.import_module("kt_kernel")
        config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
        text = config.get("text_config", config)
        self._hidden_size = text["hidden_size"]
        self._num_experts, self._top_k = text["n_routed_experts"], text["num_experts_per_tok"]
        self._layer: Any = kt_kernel.KTMoEWrapper(
            layer_idx=text["first_k_dense_replace"],
            num_experts=self._num_experts,
            num_experts_per_tok=self._top_k,
            hidden_size=self._hidden_size,
            moe_intermediate_size=text["moe_intermediate_size"],
            gpu_experts_mask=None,
            cpuinfer_threads=num_threads,
            threadpool_count=1,
            weight_path=model,
            chunked_prefill_size=_CHUNK,
            method="RAWINT4",
        )
        self._layer.load_weights(self._torch.arange(self._num_experts, dtype=self._torch.int64))

    def lap(self, prompt: list[int], following: list[int]) -> tuple[float, float]:
        """Seconds for the prompt in chunks, and for a token on average."""
        prefill_s = sum(self._forward(prompt[start : start + _CHUNK]) for start in range(0, len(prompt), _CHUNK))
        return prefill_s, sum(self._forward([token_id]) for token_id in following) / len(following)

    def _forward(self, token_ids: list[int]) -> float:
        torch, count = self._torch, len(token_ids)
        x = torch.randn(count, self._hidden_size).to(torch.bfloat16)
        chosen = [chosen_experts(token_id, self._num_experts, self._top_k) for token_id in token_ids]
        ids = torch.tensor(chosen, dtype=torch.int64)
        weights = torch.full((count, self._top_k), 1.0 / self._top_k, dtype=torch.float32)
        result = torch.empty(count, self._hidden_size, dtype=torch.float32)
        num_tokens = torch.tensor([count], dtype=torch.int32)
        started = time.perf_counter()
        self._layer.cpu_infer.submit(
            self._layer.moe.forward_task(
                num_tokens.data_ptr(),
                self._top_k,
                ids.data_ptr(),
                weights.data_ptr(),
                x.data_ptr(),
                result.data_ptr(),
                False,
            )
        )
        self._layer.cpu_infer.sync(0)
        return time.perf_counter() - started
