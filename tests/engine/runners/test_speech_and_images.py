"""Speech to text and image classification: random networks, real files."""

import io
import json
import wave

import numpy as np
import pytest
import soundfile
import torch
import transformers
from PIL import Image

from engine.errors import RunnerError
from engine.runners import load, tasks_of
from engine.runners.image_classification import read_picture
from engine.runners.sound import read_sound, resampled
from tests.engine.runners.made import SIZES, save, seeded

RATE = 16_000


@pytest.fixture(scope="module")
def whisper(tmp_path_factory, starter_tokenizer):
    """A Whisper that hears two seconds at a time."""
    config = transformers.WhisperConfig(
        vocab_size=len(starter_tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_source_positions=100,
        max_target_positions=40,
        init_std=0.3,
        decoder_start_token_id=1,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = seeded(lambda: transformers.WhisperForConditionalGeneration(config))
    folder = save(tmp_path_factory.mktemp("whisper"), model, starter_tokenizer)
    transformers.WhisperFeatureExtractor(chunk_length=2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory):
    """A CTC network with letters for tokens."""
    folder = tmp_path_factory.mktemp("wav2vec2")
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghij"]
    (folder / "vocab.json").write_text(json.dumps({letter: place for place, letter in enumerate(letters)}))
    transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(letters),
        conv_dim=(16, 16),
        conv_stride=(10, 8),
        conv_kernel=(10, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        initializer_range=0.5,
        pad_token_id=0,
        **SIZES,
    )
    return save(folder, seeded(lambda: transformers.Wav2Vec2ForCTC(config)))


def test_a_decoder_of_speech_writes_what_transformers_writes(whisper, tone):
    assert tasks_of(whisper) == ("speech-to-text",)
    runner = load(whisper, "speech-to-text", device="cpu")
    found = runner.transcribe(tone, max_new_tokens=12)
    model = transformers.AutoModelForSpeechSeq2Seq.from_pretrained(whisper, dtype=torch.float32)
    features = transformers.AutoFeatureExtractor.from_pretrained(whisper)(tone, sampling_rate=RATE, return_tensors="pt")
    ids = model.generate(**features, do_sample=False, max_new_tokens=12)
    expected = transformers.AutoTokenizer.from_pretrained(whisper).decode(ids[0], skip_special_tokens=True)
    assert found.text == expected.strip() != ""
    assert found.audio_s == 1
    assert found.elapsed_s > 0


def test_longer_sounds_are_heard_in_pieces(whisper, tone):
    runner = load(whisper, "speech-to-text", device="cpu")
    two_seconds = np.tile(tone, 2)
    whole = runner.transcribe(np.concatenate([two_seconds, tone]), max_new_tokens=8)
    parts = [runner.transcribe(each, max_new_tokens=8).text for each in (two_seconds, tone)]
    assert whole.text == " ".join(parts)
    assert whole.audio_s == 3


def test_ctc_takes_the_likeliest_letter_of_each_frame(wav2vec2, tone):
    assert tasks_of(wav2vec2) == ("speech-to-text",)
    runner = load(wav2vec2, "speech-to-text", device="cpu")
    model = transformers.AutoModelForCTC.from_pretrained(wav2vec2, dtype=torch.float32)
    features = transformers.AutoFeatureExtractor.from_pretrained(wav2vec2)(
        tone, sampling_rate=RATE, return_tensors="pt"
    )
    with torch.no_grad():
        ids = model(**features).logits[0].argmax(-1).tolist()
    merged = [token for place, token in enumerate(ids) if place == 0 or token != ids[place - 1]]
    letters = "".join(runner.tokenizer.convert_ids_to_tokens(merged)).replace("<pad>", "").replace("|", " ")
    for special in ("<s>", "</s>", "<unk>"):
        letters = letters.replace(special, "")
    assert runner.transcribe(tone).text == " ".join(letters.split())


def wav_bytes(samples: np.ndarray, rate: int, channels: int = 1) -> bytes:
    """16-bit WAV by the standard library."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.round(samples * 32767)).astype("<i2").tobytes())
    return buffer.getvalue()


def test_wav_is_read_as_the_standard_library_wrote_it(tone, tmp_path):
    data = wav_bytes(tone, RATE)
    np.testing.assert_allclose(read_sound(data, RATE), tone, atol=1 / 32767)
    (tmp_path / "tone.wav").write_bytes(data)
    assert (read_sound(tmp_path / "tone.wav", RATE) == read_sound(data, RATE)).all()


def test_channels_are_mixed(tone):
    stereo = np.stack([tone, np.zeros_like(tone)], axis=1)
    np.testing.assert_allclose(read_sound(wav_bytes(stereo, RATE, 2), RATE), tone / 2, atol=1 / 32767)


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_other_formats_are_read_too(tone, kind):
    buffer = io.BytesIO()
    soundfile.write(buffer, tone, RATE, format=kind)
    found = read_sound(buffer.getvalue(), RATE)
    spectrum = np.abs(np.fft.rfft(found))
    assert np.fft.rfftfreq(len(found), 1 / RATE)[spectrum.argmax()] == pytest.approx(440, abs=2)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_another_rate_keeps_the_tone(rate):
    seconds = np.arange(rate) / rate
    found = resampled(np.sin(2 * np.pi * 440 * seconds).astype(np.float32), rate, RATE)
    assert len(found) == RATE
    expected = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(found[2000:-2000], expected[2000:-2000], atol=5e-3)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"no sound at all" * 10, wav_bytes(np.zeros(0), RATE)])
def test_what_is_no_sound_is_an_error_with_a_hint(data):
    with pytest.raises(RunnerError) as caught:
        read_sound(data, RATE)
    assert caught.value.hint


def test_sounds_beyond_an_hour_are_refused_before_they_are_read():
    header = bytearray(wav_bytes(np.zeros(8, dtype=np.float32), 1))
    data = bytes(header[:40]) + (7202).to_bytes(4, "little") + bytes(7202)  # 3601 s at one sample a second
    with pytest.raises(RunnerError, match="3601 s"):
        read_sound(data, RATE)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    config = transformers.ViTConfig(
        image_size=32,
        patch_size=8,
        initializer_range=0.3,
        num_labels=3,
        id2label={0: "cat", 1: "dog", 2: "tree"},
        **SIZES,
    )
    folder = save(tmp_path_factory.mktemp("vit"), seeded(lambda: transformers.ViTForImageClassification(config)))
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessor(size=size).save_pretrained(folder)
    return folder


def test_a_picture_gets_the_softmax_of_every_label(vit):
    assert tasks_of(vit) == ("image-classification",)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found = load(vit, "image-classification", device="cpu").classify(pixels)
    model = transformers.AutoModelForImageClassification.from_pretrained(vit, dtype=torch.float64)
    scaled = torch.from_numpy((pixels / 255 - 0.5) / 0.5).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = torch.softmax(model(pixel_values=scaled).logits[0], 0).tolist()
    assert {each.label: each.probability for each in found} == pytest.approx(
        dict(zip(("cat", "dog", "tree"), expected, strict=True)), rel=1e-3
    )
    assert found[0].probability == max(expected) or found[0].probability == pytest.approx(max(expected), rel=1e-3)


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "PNG"), ("RGBA", "PNG"), ("L", "PNG"), ("P", "GIF"), ("CMYK", "JPEG")]
)
def test_pictures_of_any_kind_become_rgb(mode, kind):
    buffer = io.BytesIO()
    Image.new(mode, (5, 4)).save(buffer, kind)
    assert (read_picture(buffer.getvalue()).mode, read_picture(buffer.getvalue()).size) == ("RGB", (5, 4))


def test_a_picture_is_turned_as_its_camera_was_held():
    buffer, turned = io.BytesIO(), Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (5, 4)).save(buffer, "JPEG", exif=turned)
    assert read_picture(buffer.getvalue()).size == (4, 5)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"no picture"])
def test_what_is_no_picture_is_an_error_with_a_hint(data):
    with pytest.raises(RunnerError) as caught:
        read_picture(data)
    assert caught.value.hint


def test_pictures_of_too_many_pixels_are_refused_before_they_are_decoded():
    header = io.BytesIO()
    Image.new("1", (8000, 8000)).save(header, "PNG")
    with pytest.raises(RunnerError, match="8000 × 8000"):
        read_picture(header.getvalue())
