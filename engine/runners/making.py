"""How the runners are put together from a checkpoint: network, tokenizer, and what its files say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import RunnerError
from engine.runners.arrays import ArrayRunner
from engine.runners.checkpoint import ONNX, Checkpoint
from engine.runners.classification import Classifier, labels_of
from engine.runners.contract import Facts, Network
from engine.runners.embeddings import Embedder, trained_pooling
from engine.runners.failures import as_runner_error
from engine.runners.fill_mask import MaskFiller
from engine.runners.generation_settings import model_settings
from engine.runners.gguf_loading import load_gguf_network, load_gguf_tokenizer
from engine.runners.image_classification import ImageClassifier
from engine.runners.networks import OnnxNetwork, TransformersNetwork
from engine.runners.onnx_decoder import OnnxDecoder
from engine.runners.question_answering import Answerer
from engine.runners.speech_to_text import Transcriber
from engine.runners.text_generation import TextGenerator
from engine.runners.transformers_decoder import TransformersDecoder, context_length, end_ids
from engine.runners.transformers_loading import SAFELY, Loading, load_network, load_tokenizer, num_weight_bytes
from engine.runners.zero_shot import EmbeddingZeroShot, EntailmentZeroShot

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_LARGE = 1_000_000
"""Tokenizers state a length above this where they know none."""

_POSITIONS_BEGIN_LATER = frozenset(
    {"roberta", "xlm-roberta", "camembert", "longformer", "mpnet", "esm", "data2vec-text"}
)
"""Model types whose positions begin after the padding token's id, so that the table has as many rows too many."""


def text_generator(checkpoint: Checkpoint, task: str, loading: Loading) -> TextGenerator:
    tokenizer = load_tokenizer(checkpoint)
    auto = "AutoModelForSeq2SeqLM" if _is_text_to_text(checkpoint.config) else "AutoModelForCausalLM"
    model = load_network(checkpoint, auto, loading)
    settings = model_settings(checkpoint.json("generation_config.json"))
    return _generator(checkpoint, task, model, tokenizer, default_settings=settings)


def gguf_generator(checkpoint: Checkpoint, task: str, loading: Loading) -> TextGenerator:
    tokenizer = load_gguf_tokenizer(checkpoint)
    model = load_gguf_network(checkpoint, loading)
    notes = (f"The weights of {checkpoint.file.name} are decoded to {str(model.dtype).removeprefix('torch.')}.",)
    return _generator(checkpoint, task, model, tokenizer, notes=notes)


def onnx_generator(checkpoint: Checkpoint, task: str, loading: Loading) -> TextGenerator:
    tokenizer = load_tokenizer(checkpoint)
    stated = checkpoint.json("generation_config.json")
    ends = stated.get("eos_token_id", checkpoint.config.get("eos_token_id"))
    ends = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id} - {None}
    decoder = OnnxDecoder(checkpoint.file, frozenset(ends), context_length(checkpoint.config))
    facts = Facts(task, "onnx", checkpoint.location, "cpu", "as exported", decoder.num_bytes, context=decoder.context)
    return TextGenerator(facts, decoder=decoder, tokenizer=tokenizer, default_settings=model_settings(stated))


def _generator(
    checkpoint: Checkpoint,
    task: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    notes: tuple[str, ...] = (),
    **fields,
) -> TextGenerator:
    context = context_length(model.config.get_text_config().to_dict())
    decoder = TransformersDecoder(model, end_ids(model, tokenizer.eos_token_id), context)
    facts = Facts(
        task=task,
        backend=checkpoint.kind,
        location=checkpoint.location,
        device=model.device.type,
        dtype=str(model.dtype).removeprefix("torch."),
        num_bytes=num_weight_bytes(model),
        context=context,
        notes=notes,
    )
    return TextGenerator(facts, decoder=decoder, tokenizer=tokenizer, **fields)


def embedder(checkpoint: Checkpoint, task: str, loading: Loading) -> Embedder:
    return _embedder(Embedder, checkpoint, task, loading)


def zero_shot(checkpoint: Checkpoint, task: str, loading: Loading) -> EntailmentZeroShot | EmbeddingZeroShot:
    labels = labels_of(checkpoint.config)
    entailment = next((place for place, label in enumerate(labels) if label.lower().startswith("entail")), None)
    if entailment is None:
        return _embedder(EmbeddingZeroShot, checkpoint, task, loading)
    fields = _text_network(checkpoint, task, loading, "AutoModelForSequenceClassification")
    return EntailmentZeroShot(**fields, entailment=entailment)


def classifier(checkpoint: Checkpoint, task: str, loading: Loading) -> Classifier:
    fields = _text_network(checkpoint, task, loading, "AutoModelForSequenceClassification")
    is_multi = checkpoint.config.get("problem_type") == "multi_label_classification"
    return Classifier(**fields, labels=labels_of(checkpoint.config), is_multi_label=is_multi)


def mask_filler(checkpoint: Checkpoint, task: str, loading: Loading) -> MaskFiller:
    runner = MaskFiller(**_text_network(checkpoint, task, loading, "AutoModelForMaskedLM"))
    if runner.tokenizer.mask_token_id is None:
        raise RunnerError(f"The tokenizer of {checkpoint.folder.name} has no mask token.", "Choose another task.")
    return runner


def answerer(checkpoint: Checkpoint, task: str, loading: Loading) -> Answerer:
    return Answerer(**_text_network(checkpoint, task, loading, "AutoModelForQuestionAnswering"))


def transcriber(checkpoint: Checkpoint, task: str, loading: Loading) -> Transcriber:
    from transformers import AutoFeatureExtractor

    tokenizer = load_tokenizer(checkpoint)
    is_ctc = any(str(name).endswith("ForCTC") for name in checkpoint.config.get("architectures") or ())
    with as_runner_error(f"Loading the feature extractor of {checkpoint.folder.name}"):
        features = AutoFeatureExtractor.from_pretrained(checkpoint.folder, **SAFELY)
    model = load_network(checkpoint, "AutoModelForCTC" if is_ctc else "AutoModelForSpeechSeq2Seq", loading)
    facts = _facts(checkpoint, task, TransformersNetwork(model), None)
    return Transcriber(facts, model=model, features=features, tokenizer=tokenizer, is_ctc=is_ctc)


def image_classifier(checkpoint: Checkpoint, task: str, loading: Loading) -> ImageClassifier:
    from transformers import AutoImageProcessor

    with as_runner_error(f"Loading the image processor of {checkpoint.folder.name}"):
        processor = AutoImageProcessor.from_pretrained(checkpoint.folder, **SAFELY)
    network = TransformersNetwork(load_network(checkpoint, "AutoModelForImageClassification", loading))
    labels = labels_of(checkpoint.config)
    return ImageClassifier(_facts(checkpoint, task, network, None), network=network, processor=processor, labels=labels)


def array_runner(checkpoint: Checkpoint, task: str, loading: Loading) -> ArrayRunner:
    network = OnnxNetwork(checkpoint.file)
    return ArrayRunner(_facts(checkpoint, task, network, None), network=network)


def _embedder(made: type[Embedder], checkpoint: Checkpoint, task: str, loading: Loading) -> Embedder:
    pooling, notes = trained_pooling(checkpoint)
    fields = _text_network(checkpoint, task, loading, "AutoModel", notes)
    limit = checkpoint.json("sentence_bert_config.json").get("max_seq_length")
    if isinstance(limit, int) and 0 < limit < (fields["facts"].context or _LARGE):
        fields["facts"] = _facts(checkpoint, task, fields["network"], limit, notes)
    if fields["tokenizer"].pad_token is None:
        fields["tokenizer"].pad_token = fields["tokenizer"].eos_token
    return made(**fields, pooling=pooling or "mean")


def _text_network(
    checkpoint: Checkpoint, task: str, loading: Loading, auto_class: str, notes: tuple[str, ...] = ()
) -> dict:
    """The fields that all runners of text networks have."""
    home = checkpoint
    tokenizer = load_tokenizer(home)
    if checkpoint.kind == ONNX:
        network: Network = OnnxNetwork(checkpoint.file)
    else:
        network = TransformersNetwork(load_network(checkpoint, auto_class, loading))
    context = _token_limit(checkpoint.config, tokenizer)
    facts = _facts(checkpoint, task, network, context, notes)
    return {"facts": facts, "network": network, "tokenizer": tokenizer}


def _facts(
    checkpoint: Checkpoint, task: str, network: Network, context: int | None, notes: tuple[str, ...] = ()
) -> Facts:
    return Facts(
        task=task,
        backend=checkpoint.kind,
        location=checkpoint.location,
        device=network.device,
        dtype=network.dtype,
        num_bytes=network.num_bytes,
        context=context,
        notes=notes,
    )


def _token_limit(config: dict, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The most tokens of a text: the tokenizer's limit or the network's, whichever is smaller."""
    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < _LARGE else []
    positions = context_length(config)
    if positions is not None:
        pad = config.get("pad_token_id")
        is_later = config.get("model_type") in _POSITIONS_BEGIN_LATER and isinstance(pad, int)
        limits.append(positions - pad - 1 if is_later else positions)
    return min(limits, default=None)


def _is_text_to_text(config: dict) -> bool:
    return any(
        str(name).endswith(("ForConditionalGeneration", "MTModel")) for name in config.get("architectures") or ()
    )
