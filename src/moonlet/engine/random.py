"""Random numbers that depend on the seed and the place in the reply, and on nothing else.

A generator with a state would make a token depend on how many draws came before it; this one is a function of
(seed, step), so a reply is the same alone or in a batch, resumed or not.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(value: int) -> int:
    """The output function of SplitMix64: a bijection of 64 bits in which every input bit moves every output bit.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; constants of Stafford's
    variant 13.
    """
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def uniform(seed: int, step: int) -> float:
    """The `step`-th number of the sequence named `seed` (any int, taken modulo 2^64), in [0, 1), 53 bits deep.

    The seed is mixed before the step is added: sequences of neighbouring seeds do not share numbers at other steps.
    """
    key = _mix((seed + _GOLDEN) & _MASK)
    return (_mix((key + (step + 1) * _GOLDEN) & _MASK) >> 11) * 2.0**-53
