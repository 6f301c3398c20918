"""Number formats of weights: packing, unpacking, and bytes of a shape."""

from moonlet.formats.table import BF16, F32, FORMATS, INT4_G32, INT8_G32, NumberFormat

__all__ = ["BF16", "F32", "FORMATS", "INT4_G32", "INT8_G32", "NumberFormat"]
