"""Where routed experts live and run. Each class here is an `ExpertBackend` of `moonlet.model`."""

from moonlet.experts.cpu import CpuExperts
from moonlet.experts.reference import TorchExperts, move_layers
from moonlet.experts.weights import PackedExpert, PackedLayer, PackedMatrix, bind_experts

__all__ = [
    "CpuExperts",
    "PackedExpert",
    "PackedLayer",
    "PackedMatrix",
    "TorchExperts",
    "bind_experts",
    "move_layers",
]
