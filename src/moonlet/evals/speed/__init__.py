"""How fast a model runs on this machine, stated against what the machine could do at most and against rivals."""

from moonlet.evals.speed.laps import Case, Contestant, Lap, Row, race
from moonlet.evals.speed.ours import OurModel
from moonlet.evals.speed.record import json_line, machine_name, revision, save_record
from moonlet.evals.speed.shares import decode_share, decode_tokens_per_s, prefill_share
from moonlet.evals.speed.spread import Spread
from moonlet.evals.speed.traffic import Traffic, token_traffic

__all__ = [
    "Case",
    "Contestant",
    "Lap",
    "OurModel",
    "Row",
    "Spread",
    "Traffic",
    "decode_share",
    "decode_tokens_per_s",
    "json_line",
    "machine_name",
    "prefill_share",
    "race",
    "revision",
    "save_record",
    "token_traffic",
]
