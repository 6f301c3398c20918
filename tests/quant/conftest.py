"""The converted file that reading tests share."""

from tests.checkpoint.gguf.conftest import tiny_file

__all__ = ["tiny_file"]
