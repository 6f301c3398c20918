"""The maths of Kimi K2.5 and nothing else: weights, cache and experts are handed in."""

from moonlet.model.batch import ForwardBatch, GivenEmbeddings
from moonlet.model.decoder import Decoder, ForwardObserver, LayerPages
from moonlet.model.expert_backend import ExpertBackend
from moonlet.model.rope import Rope, inverse_frequencies, softmax_scale
from moonlet.model.weights import DecoderWeights, WeightSource, bind_weights

__all__ = [
    "Decoder",
    "DecoderWeights",
    "ExpertBackend",
    "ForwardBatch",
    "ForwardObserver",
    "GivenEmbeddings",
    "LayerPages",
    "Rope",
    "WeightSource",
    "bind_weights",
    "inverse_frequencies",
    "softmax_scale",
]
