"""Video: which frames are taken, at which size, and how they are decoded without holding them."""

from moonlet.media.video.plan import FramePlan
from moonlet.media.video.prepared import PreparedVideo, open_video

__all__ = ["FramePlan", "PreparedVideo", "open_video"]
