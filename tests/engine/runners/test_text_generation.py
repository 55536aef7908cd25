"""Text generation by transformers: equal to `generate`, exact probabilities, conversations, long prompts."""

import threading
from dataclasses import replace

import pytest
import torch
import transformers

from engine.errors import RunnerError
from engine.runners import PRESETS, GenerationSettings, load, tasks_of
from engine.runners.text_generation import as_plain_text, without_system

GREEDY = GenerationSettings(temperature=0, top_k=0, max_new_tokens=40)
PROMPT = "The import statement"


@pytest.fixture(scope="module")
def generator(starter):
    return load(starter, "text-generation", device="cpu", dtype="float32")


def ids_of(tokens) -> list[int]:
    return [token.token_id for token in tokens if token.token_id is not None]


def text_of(tokens) -> str:
    return "".join(token.text for token in tokens)


@pytest.mark.parametrize("prompt", [PROMPT, "def", "A “quoted” word — ∀x"])
def test_greedy_text_is_that_of_generate_token_for_token(generator, starter_model, starter_tokenizer, prompt):
    ids = starter_tokenizer(prompt, return_tensors="pt")
    ids.pop("token_type_ids", None)
    expected = starter_model.generate(**ids, do_sample=False, max_new_tokens=120)[0, ids["input_ids"].shape[1] :]
    tokens = list(generator.stream(prompt, replace(GREEDY, max_new_tokens=120)))
    assert ids_of(tokens) == expected.tolist()
    assert prompt + text_of(tokens) == prompt + starter_tokenizer.decode(expected, skip_special_tokens=True)


def test_greedy_text_with_a_penalty_is_that_of_generate(generator, starter_model, starter_tokenizer):
    ids = starter_tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    expected = starter_model.generate(ids, do_sample=False, max_new_tokens=60, repetition_penalty=1.3)
    tokens = list(generator.stream(PROMPT, replace(GREEDY, max_new_tokens=60, repetition_penalty=1.3)))
    assert ids_of(tokens) == expected[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("family", ["gpt2", "llama", "mamba", "t5"])
def test_every_family_continues_as_generate_does(decoder_folder, family):
    folder = decoder_folder(family)
    auto = transformers.AutoModelForSeq2SeqLM if family == "t5" else transformers.AutoModelForCausalLM
    model = auto.from_pretrained(folder, dtype=torch.float32)
    runner = load(folder, "text-generation", device="cpu", dtype="float32")
    prompt = list(runner.prepare("The if statement").token_ids)
    output = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=20)[0]
    expected = output[1:] if family == "t5" else output[len(prompt) :]
    assert ids_of(runner.stream("The if statement", replace(GREEDY, max_new_tokens=20))) == expected.tolist()


def test_probabilities_are_the_softmax_of_the_networks_scores(generator, starter_model):
    tokens = list(generator.stream(PROMPT, GenerationSettings(max_new_tokens=25, alternatives=4, seed=1)))
    prompt = list(generator.prepare(PROMPT).token_ids)
    with torch.inference_mode():
        scores = starter_model(torch.tensor([prompt + ids_of(tokens)])).logits[0].double()
    for place, token in enumerate(tokens):
        chances = torch.softmax(scores[len(prompt) - 1 + place], 0)
        assert token.probability == pytest.approx(float(chances[token.token_id]), rel=1e-3, abs=1e-7)
        best = torch.topk(chances, 4)
        assert [chance for _, chance in token.alternatives] == pytest.approx(best.values.tolist(), rel=1e-3)


def test_a_seed_gives_the_same_text_in_any_thread_and_beside_others(generator):
    chosen = GenerationSettings(temperature=1.0, max_new_tokens=30, seed=5)
    alone = ids_of(generator.stream(PROMPT, chosen))
    found: dict[int, list[int]] = {}

    def run(number: int) -> None:
        found[number] = ids_of(generator.stream(PROMPT, replace(chosen, seed=5 + number % 2)))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[2] == alone
    assert found[1] == found[3] != alone


def test_two_streams_of_one_model_may_be_read_in_turn(generator):
    alone = [ids_of(generator.stream(prompt, GREEDY)) for prompt in (PROMPT, "A class")]
    first, second = generator.stream(PROMPT, GREEDY), generator.stream("A class", GREEDY)
    pairs = list(zip(first, second, strict=True))
    assert [ids_of(each) for each in zip(*pairs, strict=True)] == alone


def test_a_stream_that_is_abandoned_leaves_the_model_free(generator):
    next(generator.stream(PROMPT, GREEDY))
    assert not generator.lock.locked()
    assert len(list(generator.stream(PROMPT, replace(GREEDY, max_new_tokens=3)))) == 3


def test_a_prompt_that_is_too_long_loses_its_beginning(generator):
    words = " ".join(f"word{number}" for number in range(500))
    prepared = generator.prepare(words, replace(GREEDY, max_new_tokens=56))
    assert len(prepared.token_ids) == 256 - 56
    assert prepared.num_cut > 0
    assert words.endswith(generator.tokenizer.decode(list(prepared.token_ids)))
    assert len(generator.prepare(words, replace(GREEDY, max_new_tokens=10_000)).token_ids) == 256 // 4
    tokens = list(generator.stream(words, replace(GREEDY, max_new_tokens=10_000, temperature=1.0, top_k=0)))
    assert tokens[-1].finish in ("context", "end")


def test_the_empty_prompt_begins_with_the_start_token(generator):
    assert generator.prepare("").token_ids == (generator.tokenizer.bos_token_id,)
    assert text_of(generator.stream("", replace(GREEDY, max_new_tokens=5)))


def test_the_authors_sampling_settings_are_the_default(generator):
    assert (generator.default_settings.temperature, generator.default_settings.top_k) == (0.8, 50)
    assert generator.default_settings.max_new_tokens == GenerationSettings().max_new_tokens


def test_facts_say_what_was_loaded(generator, starter_model):
    facts = generator.facts
    assert (facts.task, facts.backend, facts.device, facts.dtype) == (
        "text-generation",
        "transformers",
        "cpu",
        "float32",
    )
    assert facts.context == 256
    assert facts.load_s > 0
    parameters = sum(each.numel() for each in starter_model.parameters())
    assert facts.num_bytes == pytest.approx(4 * parameters, rel=0.01)


def test_a_small_model_is_widened_on_a_cpu_and_any_type_can_be_asked_for(starter):
    assert load(starter, "text-generation", device="cpu").facts.dtype == "float32"
    assert load(starter, "text-generation", device="cpu", dtype="bfloat16").facts.dtype == "bfloat16"
    with pytest.raises(RunnerError, match="int3"):
        load(starter, "text-generation", dtype="int3")


def test_a_device_that_is_not_there_is_named(starter):
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(RunnerError, match=r"cuda.*cpu"):
        load(starter, "text-generation", device="cuda")


TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'system' and refuse %}{{ raise_exception('no system role') }}{% endif %}"
    "[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.fixture
def talker(starter):
    """The starter with a chat template of its own."""

    def make(template: str):
        runner = load(starter, "text-generation", device="cpu")
        runner.tokenizer.chat_template = template
        return runner

    return make


CONVERSATION = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "What is a class?"},
    {"role": "assistant", "content": "A type."},
    {"role": "user", "content": "And a function?"},
]


def test_a_conversation_goes_through_the_chat_template(talker):
    runner = talker(TEMPLATE)
    assert runner.has_chat_template
    expected = "[system] Be short.\n[user] What is a class?\n[assistant] A type.\n[user] And a function?\n[assistant] "
    prepared = runner.prepare(CONVERSATION, replace(GREEDY, max_new_tokens=5))
    assert runner.tokenizer.decode(list(prepared.token_ids)) == expected
    assert text_of(runner.stream(CONVERSATION, replace(GREEDY, max_new_tokens=5)))


def test_a_template_without_a_system_role_gets_it_in_the_first_message(talker):
    runner = talker(TEMPLATE.replace("and refuse", ""))
    text = runner.tokenizer.decode(list(runner.prepare(CONVERSATION, replace(GREEDY, max_new_tokens=5)).token_ids))
    assert text.startswith("[user] Be short.\n\nWhat is a class?\n[assistant]")


def test_a_conversation_that_the_template_refuses_is_an_error(talker):
    runner = talker("{{ raise_exception('roles must alternate') }}")
    for conversation in (CONVERSATION, CONVERSATION[1:]):
        with pytest.raises(RunnerError, match="roles must alternate"):
            runner.prepare(conversation, GREEDY)


def test_a_template_cannot_reach_the_machine(talker):
    runner = talker("{{ ''.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(RunnerError):
        runner.prepare(CONVERSATION, GREEDY)


def test_without_a_template_a_conversation_is_continued_as_plain_text(generator):
    assert not generator.has_chat_template
    assert generator.prepare(CONVERSATION, GREEDY) == generator.prepare(as_plain_text(CONVERSATION), GREEDY)
    with pytest.raises(RunnerError, match="empty"):
        generator.prepare([], GREEDY)
    assert without_system(CONVERSATION[:1]) == [{"role": "user", "content": "Be short."}]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_writes_text(generator, name):
    assert text_of(generator.stream(PROMPT, replace(PRESETS[name], max_new_tokens=8)))


def test_a_closed_runner_lets_go_of_its_weights(starter):
    import gc
    import weakref

    runner = load(starter, "text-generation", device="cpu")
    model = weakref.ref(runner.decoder.model)
    list(runner.stream(PROMPT, replace(GREEDY, max_new_tokens=2)))
    runner.close()
    gc.collect()
    assert model() is None


def test_a_decoder_also_makes_embeddings(starter):
    assert tasks_of(starter) == ("text-generation", "embeddings")
    vectors = load(starter, "embeddings", device="cpu").embed(["The if statement", "A longer text about classes"])
    assert vectors.shape == (2, 128)
