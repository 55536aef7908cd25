"""Signatures: one vector of documented numbers for every matrix of weights, and one for every model.

`FEATURES` lists what the vector holds, in order; `signature` takes it of a matrix, `model_signature` puts those of a
model's matrices together, `Standardisation` makes them comparable.
"""

from engine.discovery.signature import features as features  # registers every feature
from engine.discovery.signature.facts import HeadRun
from engine.discovery.signature.model import KINDS, MODEL_FEATURES, model_signature
from engine.discovery.signature.registry import FEATURES, GROUPS, VERSION, Feature, transformed
from engine.discovery.signature.standardisation import Standardisation, fit_standardisation
from engine.discovery.signature.taking import Signature, SignatureSettings, signature

__all__ = [
    "FEATURES",
    "GROUPS",
    "KINDS",
    "MODEL_FEATURES",
    "VERSION",
    "Feature",
    "HeadRun",
    "Signature",
    "SignatureSettings",
    "Standardisation",
    "fit_standardisation",
    "model_signature",
    "signature",
    "transformed",
]
