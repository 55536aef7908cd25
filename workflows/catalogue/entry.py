"""One record of the catalogue, read from `catalog.toml` and checked."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

from engine.errors import CatalogueError
from engine.fit import CacheShape

CATALOGUE_FILE = Path(__file__).with_name("catalog.toml")

MODALITIES = ("text", "vision", "audio", "multimodal")
TASKS = (
    "text-generation",
    "embeddings",
    "classification",
    "fill-mask",
    "question-answering",
    "speech-to-text",
    "image-classification",
)
SPECIALITIES = ("general", "math", "biology", "coding", "vision")
ARCHITECTURES = ("encoder", "decoder", "encoder-decoder", "cnn", "vit", "hybrid")
TIERS = (1, 2, 3)
"""1 must-have, 2 worth having, 3 for the advanced."""
BITS = (4, 8, 16, 32)

CPU_LIMIT = 4_000_000_000
"""Parameters up to which a model is pleasant on a processor alone: 16-bit weights of 8 GB, read once a token at some
40 GB/s of memory bandwidth, give about 5 tokens a second. Chosen by us."""

_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model of the catalogue.

    Attributes:
        id: its short name in URLs. name: for people. hub_id: `owner/name` on the hub.
        millions: of parameters. bits: each takes as stored on the hub.
        family: as in `model_type` of its config. architecture, modality, tasks, speciality, tier: as listed above.
        licence: its short name, or "see card".
        description: one or two sentences of ours.
        context: tokens it takes at most; None where that says nothing or is not certain.
        cache: what it keeps of each token while it generates; None for models that do not, or where not certain.
        needs_code: whether running it takes code from its repository, which is never run here; it can be inspected.
        is_gated: whether its makers ask for an account and consent.
    """

    id: str
    name: str
    hub_id: str
    millions: float
    bits: int
    family: str
    architecture: str
    modality: str
    tasks: tuple[str, ...]
    speciality: str
    tier: int
    licence: str
    description: str
    context: int | None = None
    cache: CacheShape | None = None
    needs_code: bool = False
    is_gated: bool = False

    @property
    def num_parameters(self) -> int:
        return round(self.millions * 1e6)

    @property
    def num_bytes(self) -> int:
        """Of its weights on the hub, from parameters and bits: within some per cent of the true size."""
        return self.num_parameters * self.bits // 8

    @property
    def uri(self) -> str:
        """Where `engine.sources.open` finds it without a download."""
        return f"hf://{self.hub_id}"

    @property
    def runs_on_cpu(self) -> bool:
        return self.num_parameters <= CPU_LIMIT

    def __post_init__(self) -> None:
        """Raises CatalogueError for a value outside its list or range."""
        checks = {
            "id": _ID.fullmatch(self.id),
            "hub_id": _HUB_ID.fullmatch(self.hub_id),
            "name": 0 < len(self.name) <= 40,
            "millions": 0 < self.millions < 10_000_000,
            "bits": self.bits in BITS,
            "architecture": self.architecture in ARCHITECTURES,
            "modality": self.modality in MODALITIES,
            "tasks": self.tasks and set(self.tasks) <= set(TASKS),
            "speciality": self.speciality in SPECIALITIES,
            "tier": self.tier in TIERS,
            "licence": 0 < len(self.licence) <= 40,
            "description": 20 <= len(self.description) <= 200,
            "context": self.context is None or 0 < self.context <= 10_000_000,
        }
        wrong = [field for field, is_good in checks.items() if not is_good]
        if wrong:
            raise CatalogueError(
                f"The catalogue's {self.id!r} has no valid {wrong[0]}: {getattr(self, wrong[0])!r}.",
                f"Correct it in {CATALOGUE_FILE.name}.",
            )


def parse_catalogue(text: str) -> tuple[CatalogueEntry, ...]:
    """The entries of a catalogue in TOML: a list of `[[model]]`, each with the fields of `CatalogueEntry`.

    Raises: CatalogueError if it is no TOML, a field is missing, unknown, of another type or out of range, or an id or
        hub id occurs twice.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"The catalogue is no valid TOML: {error}.", "Correct that line.") from error
    records = document.get("model")
    if document.keys() - {"model"} or not isinstance(records, list):
        raise CatalogueError("The catalogue is no list of [[model]].", "It holds nothing else.")
    entries = tuple(_entry(record) for record in records)
    for field in ("id", "hub_id"):
        values = [getattr(entry, field).lower() for entry in entries]
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise CatalogueError(f"The catalogue has {field} {twice[0]!r} twice.", "Keep one of them.")
    return entries


_TYPES = {"millions": (int, float), "bits": int, "tier": int, "context": int, "needs_code": bool, "is_gated": bool}
_TYPES |= {"tasks": list, "cache": dict}


def _entry(record: object) -> CatalogueEntry:
    if not isinstance(record, dict):
        raise CatalogueError(f"The catalogue holds {record!r} where a model should be.", "Write [[model]].")
    name = record.get("id", "?")
    known = {field.name: field.default for field in fields(CatalogueEntry)}
    missing = [field for field, default in known.items() if default is MISSING and field not in record]
    if missing or record.keys() - known.keys():
        odd = ", ".join([*(f"{field} is missing" for field in missing), *sorted(record.keys() - known.keys())])
        raise CatalogueError(f"The catalogue's {name!r} does not have the fields of an entry: {odd}.", "Correct it.")
    for field, value in record.items():
        expected = _TYPES.get(field, str)
        is_flag_for_number = isinstance(value, bool) and expected is not bool
        if not isinstance(value, expected) or is_flag_for_number:
            raise CatalogueError(f"The catalogue's {name!r} has {field} = {value!r}, of another type.", "Correct it.")
    values = dict(record, tasks=tuple(record["tasks"]))
    if "cache" in record:
        values["cache"] = _cache(name, record["cache"])
    return CatalogueEntry(**values)


def _cache(name: str, record: dict) -> CacheShape:
    if record.keys() != {"layers", "values"} or not all(type(v) is int and 0 < v < 1e6 for v in record.values()):
        raise CatalogueError(
            f"The catalogue's {name!r} has cache = {record!r}.", "It needs two whole numbers, layers and values."
        )
    return CacheShape(record["layers"], record["values"])


@functools.cache
def catalogue() -> tuple[CatalogueEntry, ...]:
    """The product's catalogue, in the order of its file. Raises: CatalogueError if the file is broken."""
    return parse_catalogue(CATALOGUE_FILE.read_text(encoding="utf-8"))
