"""Loading a model at the terminal: what is about to happen, and how far it is."""

from __future__ import annotations

from moonlet.cli.progress import ProgressLine
from moonlet.cli.terminal import Output
from moonlet.cli.units import size_text
from moonlet.config import EngineOptions
from moonlet.engine import LLM
from moonlet.engine.dialect import ToolRendering
from moonlet.model.cost import weight_bytes
from moonlet.model.memory import MemoryPlan

BUILT_IN = "K25-nano"


def load(model: str | None, options: EngineOptions, notes: Output, *, tool_rendering: ToolRendering = "typed") -> LLM:
    """Load `model`, or K25-nano, telling the plan on `notes` before, the progress while, and what INT8 cost after.

    Raises UserError in one line.
    """

    def tell(plan: MemoryPlan) -> None:
        if model is None:
            notes.line(
                f"{BUILT_IN}: the tiny built-in model, made for tests and small puzzles; --model names a real one",
                dim=True,
            )
        else:
            notes.line(plan_line(plan, options), dim=True)

    with ProgressLine(notes, "loading", size_text) as progress:
        llm = LLM(model, options, progress=progress, on_plan=tell, tool_rendering=tool_rendering)
    if llm.int8_loss:
        stored = size_text(weight_bytes(llm.config).non_expert - weight_bytes(llm.config).vision)
        notes.line(
            f"INT8: {stored} of weights became {size_text(llm.plan.non_expert_bytes)}; "
            f"rounding changed them by {llm.int8_loss:.2%} (root mean square)",
            dim=True,
        )
    return llm


def plan_line(plan: MemoryPlan, options: EngineOptions) -> str:
    """What will be used of this machine, before it is."""
    form = " as INT8" if options.dense == "int8" else ""
    vision = f"{size_text(plan.vision_bytes)} of vision tower, " if plan.vision_bytes else ""
    experts = f"{size_text(plan.expert_bytes)} of routed experts mapped"
    if not plan.experts_fit:
        experts += f", {size_text(plan.expert_room_bytes)} of it in memory and the rest read from disk as needed"
    return (
        f"memory: {size_text(plan.non_expert_bytes)} of weights{form}, {vision}{experts}, "
        f"cache {size_text(plan.kv_bytes)} for {plan.context_length:,} tokens, "
        f"{size_text(plan.available_bytes)} available"
    )
