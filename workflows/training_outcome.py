"""The end of a training: its best checkpoint becomes a model of the library, with a card, priced and measured."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.training.checkpoints import bits_per_byte
from storage.records import Metric
from storage.store import Store
from storage.training import TrainingRows
from workflows.extract import ExtractSettings, extract
from workflows.reports import Meter, Report
from workflows.trained_models import PARENT_HASH_KEY, PARENT_KEY, RUN_KEY, publish
from workflows.training_card import CardFacts, model_card
from workflows.training_request import TrainingRequest
from workflows.training_stand import Stand
from workflows.training_text import PreparedText

JUDGED_BYTES = 1 << 19
"""Held-out text that the finished model is priced on, at the most: half a mebibyte, some seconds. Chosen by us."""


@dataclass(frozen=True)
class Ended:
    """A run whose phases are over: what was asked, how far it came, its text, and what computed it (for the card)."""

    run_id: str
    request: TrainingRequest
    stand: Stand
    text: PreparedText
    environment: dict[str, str]


def finished_model(ended: Ended, store: Store, report: Report) -> dict:
    """Make the best checkpoint the model, and measure it.

    Returns: `workflows.training.TrainingRun.result`.
    Raises: TrainingError if there is no checkpoint or it cannot be written; Cancelled; StorageError.
    """
    _look_at_the_rest(ended, store, report)
    phase, step, best = ended.stand.best()
    parent = _parent(ended.request, store)
    metadata = {RUN_KEY: ended.run_id} | {key: value for key, value in parent.items() if value}
    result = {"phase": phase, "best_step": step, "parent": parent.get(PARENT_KEY, "")} | _story(ended, store)

    def card(folder: Path) -> str:
        result.update(_worth(ended, folder))
        return model_card(CardFacts(ended.request, ended.text.facts, result, parent, ended.environment))

    Meter(report, "finishing the model").say(ended.request.name)
    location = publish(store, ended.request.name, best, metadata, card)
    threads = (ended.request.training or ended.request.self_play).threads
    measured = extract(location.name, store=store, settings=ExtractSettings(threads=threads or None), report=report)
    found = {"name": location.name, "uri": location.uri, "folder": location.uri, "content_hash": measured.content_hash}
    return found | result


def _look_at_the_rest(ended: Ended, store: Store, report: Report) -> None:
    """Price the checkpoints of a run that was finished early which nobody looked at: the last one may be the best."""
    from engine.runners.devices import chosen_device
    from engine.training.determinism import reproducible
    from engine.training.held_out import HeldOut, beginnings
    from engine.training.llama_folder import load_llama

    settings, kept = ended.request.training, ended.stand.learnt
    if settings is None or ended.stand.known.get("supervised", {}).get("ending", "stopped") != "stopped":
        return
    for step in kept.steps():
        if not math.isnan(bits_per_byte(kept.path(step))):
            continue
        Meter(report, "looking at held-out text").say(f"step {step}")
        model, tokenizer = load_llama(kept.path(step))
        device = chosen_device(settings.device)
        with reproducible(settings.seed, settings.threads, device):
            held_out = HeldOut(tokenizer, beginnings(ended.text.validation), model.settings.context)
            price = held_out.price(model.to(device).eval())
        if not math.isfinite(price.bits_per_byte):
            continue
        kept.price(step, price.bits_per_byte)
        found = {"loss": price.loss, "perplexity": price.perplexity, "bits_per_byte": price.bits_per_byte}
        metrics = [Metric(step, f"held_out/{name}", value) for name, value in found.items()]
        store.save_training_rows(ended.run_id, TrainingRows(metrics=metrics))
        is_best = kept.best() == kept.path(step)
        store.price_checkpoint(ended.run_id, step, price.bits_per_byte, is_best=is_best)


def _story(ended: Ended, store: Store) -> dict:
    """How it went."""
    known = ended.stand.known
    last = known.get("self_play") or known.get("supervised") or {}
    verdicts = [remark for remark in store.training_remarks(ended.run_id) if remark.is_verdict]
    verdict = verdicts[-1] if verdicts else None
    return {
        "steps": ended.stand.step,
        "ending": last.get("ending", "stopped"),
        "reason": last.get("reason", "Finished on request."),
        "elapsed_s": known.get("elapsed_s", 0.0),
        "verdict": verdict and {"step": verdict.step, "verdict": verdict.kind, "reason": verdict.text},
        "text": asdict(ended.text.facts),
    }


def _worth(ended: Ended, folder: Path) -> dict:
    """What the finished model is, and what text that it has never seen says of it."""
    from engine.training.determinism import reproducible
    from engine.training.held_out import beginnings, held_out_loss
    from engine.training.llama_folder import load_llama

    model, tokenizer = load_llama(folder)
    settings = ended.request.training or ended.request.self_play
    with reproducible(settings.seed, settings.threads):
        test = beginnings(ended.text.test, JUDGED_BYTES)
        price = held_out_loss(model, tokenizer, test, model.settings.context)
    return {
        "bits_per_byte": price.bits_per_byte,
        "perplexity": min(price.perplexity, 1e9),
        "test_bytes": price.num_bytes,
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "model": asdict(model.settings),
    }


def _parent(request: TrainingRequest, store: Store) -> dict[str, str]:
    """Name and content hash of the model it went on from, as far as they are known."""
    if not request.start_from:
        return {}
    known = store.location(request.start_from)
    name = known.name if known else Path(request.start_from).name
    return {PARENT_KEY: name, PARENT_HASH_KEY: (known.content_hash if known else None) or ""}
