"""MoonViT-3D and its projector: pictures and chunks of video to rows of the text model's embeddings."""

from moonlet.model.vision.input import Grid, VisionItem

__all__ = ["Grid", "VisionItem"]
