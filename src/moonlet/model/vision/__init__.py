"""MoonViT-3D and its projector: pictures and chunks of video to rows of the text model's embeddings."""

from moonlet.model.vision.cpu_ops import CpuVisionOps, has_bf16_products
from moonlet.model.vision.input import Grid, VisionItem
from moonlet.model.vision.model import VisionModel
from moonlet.model.vision.ops import TorchVisionOps, VisionOps
from moonlet.model.vision.weights import VisionWeights, bind_vision_weights

__all__ = [
    "CpuVisionOps",
    "Grid",
    "TorchVisionOps",
    "VisionItem",
    "VisionModel",
    "VisionOps",
    "VisionWeights",
    "bind_vision_weights",
    "has_bf16_products",
]
