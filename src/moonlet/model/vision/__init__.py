"""MoonViT-3D and its projector: pictures and chunks of video to rows of the text model's embeddings."""

from moonlet.model.vision.input import Grid, VisionItem
from moonlet.model.vision.model import VisionModel
from moonlet.model.vision.ops import TorchVisionOps, VisionOps
from moonlet.model.vision.weights import VisionWeights, bind_vision_weights

__all__ = [
    "Grid",
    "TorchVisionOps",
    "VisionItem",
    "VisionModel",
    "VisionOps",
    "VisionWeights",
    "bind_vision_weights",
]
