"""Every signature there is as one table, with what is known of its model, and the null that was made from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.discovery.signature import FEATURES, model_signature, transformed
from engine.naming import Place, role_title
from storage.store import Store

UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class SignatureTable:
    """Signatures of matrices, ready for maps.

    Attributes:
        places: one row each: model, family, modality, tensor, layer (nullable), role (in words), role_name, stack,
            depth (0 … 1, NaN outside of the layers), share (of the entries that were looked at).
        values: (n, features) raw, NaN where undefined. standard: (n, features) in standard units, 0 where undefined.
        nulls, null_standard: the same of one null of each matrix; rows of NaN where none was taken. null: its name.
    """

    places: pd.DataFrame
    values: np.ndarray
    standard: np.ndarray
    null: str
    nulls: np.ndarray
    null_standard: np.ndarray

    @property
    def has_null(self) -> np.ndarray:
        """(n,) bool: of which matrices a null was taken."""
        return np.isfinite(self.null_standard).all(axis=1)

    @property
    def digest(self) -> str:
        """Changes when any number or name does: the key under which pictures of it are kept."""
        digest = hashlib.sha256("\n".join(self.places["model"] + "\t" + self.places["tensor"]).encode())
        for array in (self.standard, self.null_standard):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def where(self, kept: np.ndarray) -> SignatureTable:
        """The rows for which `kept` is true."""
        places = self.places[kept].reset_index(drop=True)
        arrays = (self.values[kept], self.standard[kept])
        return SignatureTable(places, *arrays, self.null, self.nulls[kept], self.null_standard[kept])


def signature_table(store: Store, null: str) -> SignatureTable:
    """All signatures that were ever taken, with their nulls of one kind in the same units.

    Args: null: one of `engine.discovery.nulls.NULLS`.
    """
    found, fit = store.signatures(), store.signature_fit()
    places = found.places.copy()
    places["depth"] = _depths(places)
    places["modality"] = _modalities(store, places["model"])
    places["role_name"] = places["role"]
    places["role"] = [role_title(role) for role in places["role"]]
    raw = store.null_signatures(null)
    rows = {key: place for place, key in enumerate(zip(raw["model"], raw["tensor"], strict=True))}
    nulls = np.full(found.values.shape, np.nan)
    for place, key in enumerate(zip(places["model"], places["tensor"], strict=True)):
        if key in rows:
            nulls[place] = raw["values"].iloc[rows[key]]
    standard = np.full(found.standard.shape, np.nan, np.float32)
    taken = np.array([key in rows for key in zip(places["model"], places["tensor"], strict=True)], bool)
    if fit is not None and taken.any():
        standard[taken] = fit.tensors.apply(transformed(nulls[taken]))
    return SignatureTable(places, found.values, found.standard, null, nulls, standard)


def null_model_signatures(store: Store, table: SignatureTable) -> tuple[list[str], np.ndarray]:
    """Signatures of whole models whose every matrix is a null, in the units of the real ones.

    Returns: the models that nulls were taken of, and (models, numbers) standardised.
    """
    fit, rows, names = store.signature_fit(), [], []
    for name, places in table.places[table.has_null].groupby("model", sort=False):
        where = [_place(*each) for each in zip(places["layer"], places["role_name"], places["stack"], strict=True)]
        rows.append(fit.models.apply(model_signature(where, table.nulls[places.index.to_numpy()])))
        names.append(str(name))
    return names, np.array(rows)


def unusual(values: np.ndarray, standard: np.ndarray, count: int = 6) -> pd.DataFrame:
    """The features in which one matrix is least typical.

    Args: values, standard: (features,) of it. Returns: feature, value, standard units; the least typical first.
    """
    order = np.argsort(-np.abs(standard), kind="stable")[:count]
    entries = list(FEATURES.values())
    return pd.DataFrame(
        {
            "feature": [entries[place].title for place in order],
            "value": values[order],
            "units from typical": standard[order].astype(float),
            "meaning": [entries[place].description for place in order],
        }
    )


def _place(layer, role: str, stack: str) -> Place:
    return Place(None if pd.isna(layer) else int(layer), role, "weight", stack)


def _depths(places: pd.DataFrame) -> pd.Series:
    """layer / (last layer) of the model's stack."""
    last = places.groupby(["model", "stack"])["layer"].transform("max").astype("Float64")
    return (places["layer"].astype("Float64") / last.clip(lower=1)).astype("float64")


def _modalities(store: Store, models: pd.Series) -> list[str]:
    """As the catalogue has it, else read off the architecture's name in the config."""
    from workflows.catalogue.entry import catalogue

    listed = {entry.hub_id.rpartition("/")[2].lower(): entry.modality for entry in catalogue()}
    found = {name: listed.get(name.lower()) or _modality(store.model_config(name)) for name in models.unique()}
    return [found[name] for name in models]


def _modality(config: dict) -> str:
    words = " ".join([str(config.get("model_type") or ""), *map(str, config.get("architectures") or [])]).lower()
    if "vision_config" in config and "text_config" in config:
        return "multimodal"
    for modality, marks in (
        ("audio", ("whisper", "wav2vec", "hubert", "speech", "audio")),
        ("vision", ("vit", "resnet", "image", "convnext", "swin")),
        ("multimodal", ("clip", "llava")),
        ("text", ("causallm", "bert", "gpt", "llama", "maskedlm", "t5", "qwen", "mistral")),
    ):
        if any(mark in words for mark in marks):
            return modality
    return UNKNOWN
