"""Where routed experts live and run. Each class here is an `ExpertBackend` of `moonlet.model`."""

from moonlet.experts.bf16 import Bf16Experts
from moonlet.experts.blocks import BlockExperts
from moonlet.experts.cpu import CpuExperts
from moonlet.experts.cpu_blocks import CpuBlockExperts, have_kernels
from moonlet.experts.reference import TorchExperts, move_layers
from moonlet.experts.weights import PackedExpert, PackedLayer, PackedMatrix, bind_experts

__all__ = [
    "Bf16Experts",
    "BlockExperts",
    "CpuBlockExperts",
    "CpuExperts",
    "PackedExpert",
    "PackedLayer",
    "PackedMatrix",
    "TorchExperts",
    "bind_experts",
    "have_kernels",
    "move_layers",
]
