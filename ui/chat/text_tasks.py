"""Panels of the tasks that read text: embeddings, labels, masks, answers."""

from __future__ import annotations

import html

import numpy as np
import pandas as pd
import streamlit as st

from engine.runners.contract import CLASSIFICATION, EMBEDDINGS, FILL_MASK, QUESTION_ANSWERING, ZERO_SHOT, Scored
from engine.runners.embeddings import POOLINGS, similarities
from engine.runners.fill_mask import GAP
from engine.runners.zero_shot import ENTAILMENT_TEMPLATE, NEARNESS_TEMPLATE
from figures.labels import label_bars
from figures.similarity import similarity_matrix
from storage.records import Location
from ui.chat.keeping import keeping_toggle
from ui.chat.outcome import Run, before_the_first, outcome, outcome_words
from ui.page import escape_markdown

MOST_TEXTS = 200
AS_TRAINED = "as trained"

_SENTENCES = """A cat sleeps on the warm windowsill.
The kitten is napping in the sun.
Interest rates rose again this quarter.
The central bank tightened its policy.
She plays the violin in an orchestra."""
_REVIEW = "I was doubtful at first, but this is the best microscope I have ever looked through."
_CONTEXT = (
    "Antonie van Leeuwenhoek was a draper in Delft. In 1674 he looked at a drop of lake water through a lens that he "
    "had ground himself, and saw what he called animalcules. He wrote about them to the Royal Society in London."
)


def embeddings_panel(location: Location) -> None:
    """Several texts, and how alike their embeddings are."""
    form, picture = st.columns([1, 1.7], gap="large")
    with form, st.form("embeddings", border=False):
        text = st.text_area("Texts, one a line", _SENTENCES, height=220, key="texts", persist_state="session")
        pooling = st.selectbox(
            "Pooling",
            [AS_TRAINED, *POOLINGS],
            key="pooling",
            bind="query-params",
            help="How the vectors of a text's tokens become one. “As trained” is what the model's own files say.",
        )
        is_asked = st.form_submit_button("Compare", type="primary", icon=":material/compare_arrows:")
    with form:
        is_kept = keeping_toggle()
    texts = [line.strip() for line in text.splitlines() if line.strip()][:MOST_TEXTS]
    wanted = None if pooling == AS_TRAINED else pooling
    run = Run(
        location,
        EMBEDDINGS,
        {"texts": texts, "pooling": pooling},
        lambda runner: (wanted or runner.pooling, runner.embed(texts, wanted)),
        lambda value: {"pooling": value[0], "cosines": similarities(value[1]).round(6).tolist()},
    )
    with picture:
        result = outcome(run, is_asked=is_asked, is_kept=is_kept)
        if result is None:
            before_the_first("Press **Compare**: five sentences are filled in, of which two and two mean the same.")
            return
        used, vectors = result.value
        st.altair_chart(similarity_matrix(result.inputs["texts"], similarities(vectors)), width="stretch")
        st.caption(
            f"Cosine of each pair · {vectors.shape[1]:,} numbers a text, pooled by **{used}**, scaled to length 1"
        )
        outcome_words(result)
        st.download_button(
            "Vectors (CSV)",
            lambda: _vectors_csv(result.inputs["texts"], vectors),
            "embeddings.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def _vectors_csv(texts: list[str], vectors: np.ndarray) -> str:
    table = pd.DataFrame(vectors, columns=[f"v{place}" for place in range(vectors.shape[1])])
    table.insert(0, "text", texts)
    return table.to_csv(index=False)


def classification_panel(location: Location) -> None:
    """A text under the model's own labels."""
    with st.form("classification", border=False):
        text = st.text_area("Text", _REVIEW, key="classified", persist_state="session")
        is_asked = st.form_submit_button("Classify", type="primary", icon=":material/label:")
    is_kept = keeping_toggle()
    run = Run(location, CLASSIFICATION, {"text": text}, lambda runner: runner.classify(text), _scored_summary)
    result = outcome(run, is_asked=is_asked, is_kept=is_kept)
    if result is None:
        before_the_first("Press **Classify**: a review is filled in.")
        return
    _bars(result.value)
    outcome_words(result)


def zero_shot_panel(location: Location) -> None:
    """A text under labels that the person makes up."""
    with st.form("zero-shot", border=False):
        left, right = st.columns(2, gap="medium")
        with left:
            text = st.text_area("Text", _REVIEW, height=140, key="zero_text", persist_state="session")
        with right:
            labels = st.text_area(
                "Labels, one a line", "praise\ncomplaint\nquestion", height=140, key="zero_labels",
                persist_state="session",
            )  # fmt: skip
        template = st.text_input(
            "Sentence in which a label is tried, {} is the label",
            key="zero_template",
            persist_state="session",
            placeholder=f"{ENTAILMENT_TEMPLATE} for models of inference, {NEARNESS_TEMPLATE} for others",
        )
        is_asked = st.form_submit_button("Sort", type="primary", icon=":material/label:")
    is_kept = keeping_toggle()
    wanted = labels.splitlines()
    run = Run(
        location,
        ZERO_SHOT,
        {"text": text, "labels": wanted, "template": template},
        lambda runner: (runner.is_by_embeddings, runner.classify(text, wanted, template or None)),
        lambda value: _scored_summary(value[1]),
    )
    result = outcome(run, is_asked=is_asked, is_kept=is_kept)
    if result is None:
        before_the_first("Press **Sort**: a review and three labels are filled in.")
        return
    is_by_embeddings, scored = result.value
    _bars(scored)
    if is_by_embeddings:
        st.caption(
            ":material/info: By nearness of embeddings, since this model has no inference head: read it as a ranking, "
            "not as probabilities."
        )
    outcome_words(result)


def fill_mask_panel(location: Location) -> None:
    """A text with gaps, and the words that could fill them."""
    with st.form("fill-mask", border=False):
        text = st.text_area(
            f"Text, {GAP} is a gap", f"The {GAP} of a cell can be seen through a {GAP}.", key="masked",
            persist_state="session",
        )  # fmt: skip
        is_asked = st.form_submit_button("Fill", type="primary", icon=":material/edit_note:")
    is_kept = keeping_toggle()
    run = Run(
        location,
        FILL_MASK,
        {"text": text},
        lambda runner: runner.fill(text, 10),
        lambda gaps: {"gaps": [[{"token": each.token, "probability": each.probability} for each in g] for g in gaps]},
    )
    result = outcome(run, is_asked=is_asked, is_kept=is_kept)
    if result is None:
        before_the_first("Press **Fill**: a sentence with two gaps is filled in.")
        return
    columns = st.columns(min(len(result.value), 3), gap="medium")
    for place, candidates in enumerate(result.value):
        with columns[place % len(columns)]:
            st.markdown(f"**Gap {place + 1}**")
            st.dataframe(
                [{"word": each.token, "probability": each.probability, "text": each.text} for each in candidates],
                hide_index=True,
                column_config={
                    "probability": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
                },
            )
    outcome_words(result)


def question_answering_panel(location: Location) -> None:
    """A question to a text; the answer is marked in it."""
    with st.form("question-answering", border=False):
        question = st.text_input("Question", "What was his profession?", key="question", persist_state="session")
        context = st.text_area("Text", _CONTEXT, height=140, key="context", persist_state="session")
        is_asked = st.form_submit_button("Answer", type="primary", icon=":material/quiz:")
    is_kept = keeping_toggle()
    run = Run(
        location,
        QUESTION_ANSWERING,
        {"question": question, "context": context},
        lambda runner: runner.answer(question, context),
        lambda answers: {"answers": [{"text": each.text, "probability": each.probability} for each in answers]},
    )
    result = outcome(run, is_asked=is_asked, is_kept=is_kept)
    if result is None:
        before_the_first("Press **Answer**: a question and a text are filled in.")
        return
    if not result.value:
        st.caption("The model found no answer in the text.")
        return
    best = result.value[0]
    st.html(marked(result.inputs["context"], best.start, best.stop))
    st.dataframe(
        [{"answer": each.text, "probability": each.probability} for each in result.value],
        hide_index=True,
        column_config={"probability": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)},
    )
    outcome_words(result)


def marked(text: str, start: int, stop: int) -> str:
    """The text as HTML with a stretch of it marked; everything in it is text, never markup."""
    style = "background: color-mix(in srgb, #f08c00 45%, transparent); color: inherit; border-radius: 3px"
    before, answer, after = (html.escape(part) for part in (text[:start], text[start:stop], text[stop:]))
    inner = f'{before}<mark style="{style}">{answer}</mark>{after}'
    return f'<div style="white-space: pre-wrap; line-height: 1.7">{inner}</div>'


def _bars(scored: list[Scored]) -> None:
    st.altair_chart(label_bars([each.label for each in scored], [each.probability for each in scored]), width="stretch")
    if len(scored) > 1:
        best = scored[0]
        st.caption(f"Most likely: **{escape_markdown(best.label)}**, {best.probability:.1%}")


def _scored_summary(scored: list[Scored]) -> dict:
    return {"labels": [{"label": each.label, "probability": each.probability} for each in scored]}
