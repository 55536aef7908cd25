"""Layer, role, part and stack of names as real checkpoints write them, and of any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.naming import ROLES, Place, family, place, role_title
from engine.naming_rows import ROLE_ROWS

# One name per line: name, layer ("-" for none), role, and the stack where there is one; the part is the last word.
NAMES = {
    "gguf of experts, encoders and pictures": """
        blk.3.attn_q_a.weight 3 query_down
        blk.3.attn_q_a_norm.weight 3 query_norm
        blk.3.attn_q_b.weight 3 query_up
        blk.3.attn_kv_a_mqa.weight 3 key_value_down
        blk.3.attn_kv_a_norm.weight 3 key_value_norm
        blk.3.attn_kv_b.weight 3 key_value_up
        blk.3.ffn_gate_inp.weight 3 router
        blk.3.exp_probs_b.bias 3 router
        blk.3.ffn_gate_exps.weight 3 expert_ffn_gate
        blk.3.ffn_gate_up_exps.weight 3 expert_ffn_gate_in
        blk.3.ffn_up_shexp.weight 3 shared_expert_ffn_in
        blk.3.ffn_down_shexp.weight 3 shared_expert_ffn_out
        blk.3.ffn_gate_inp_shexp.weight 3 shared_router
        blk.3.layer_output_norm.weight 3 ffn_norm
        blk.3.ssm_conv1d.weight 3 ssm_convolution
        blk.3.ssm_x.weight 3 ssm_select
        blk.3.ssm_dt.bias 3 ssm_step
        blk.3.ssm_b_norm.weight 3 ssm_norm
        rope_factors_long.weight - rotary
        enc.blk.3.attn_o.weight 3 output encoder
        enc.blk.3.attn_rel_b.weight 3 relative_position encoder
        dec.blk.3.cross_attn_q.weight 3 cross_query decoder
        dec.blk.3.cross_attn_o.weight 3 cross_output decoder
        v.patch_embd.weight - patch_embedding
        v.class_embd - class_token
        v.blk.7.attn_k.weight 7 key vision
        a.blk.7.attn_k.weight 7 key audio
        cls.output.weight - classifier
    """,
    "values of an onnx export": """
        onnx::MatMul_1234 - linear
        onnx::Gemm_7 - linear
        onnx::Conv_318 - convolution
        onnx::LSTM_99 - lstm
    """,
    "bert": """
        embeddings.word_embeddings.weight - token_embedding
        bert.embeddings.word_embeddings.weight - token_embedding
        embeddings.position_embeddings.weight - position_embedding
        embeddings.position_ids - position_embedding
        embeddings.token_type_embeddings.weight - segment_embedding
        bert.embeddings.LayerNorm.gamma - embedding_norm
        embeddings.LayerNorm.bias - embedding_norm
        encoder.layer.0.attention.self.query.weight 0 query
        bert.encoder.layer.11.attention.self.key.bias 11 key
        encoder.layer.3.attention.self.value.weight 3 value
        encoder.layer.3.attention.output.dense.weight 3 output
        encoder.layer.3.attention.output.LayerNorm.weight 3 attention_norm
        bert.encoder.layer.3.intermediate.dense.weight 3 ffn_in
        encoder.layer.3.output.dense.weight 3 ffn_out
        bert.encoder.layer.3.output.LayerNorm.beta 3 ffn_norm
        pooler.dense.weight - pooler
        bert.pooler.dense.bias - pooler
        classifier.weight - classifier
        cls.predictions.bias - lm_head
        cls.predictions.transform.dense.weight - lm_head_transform
        cls.predictions.transform.LayerNorm.weight - lm_head_norm
        cls.predictions.decoder.weight - lm_head
        cls.seq_relationship.weight - classifier
    """,
    "roberta": """
        roberta.embeddings.word_embeddings.weight - token_embedding
        roberta.encoder.layer.2.attention.self.query.weight 2 query
        roberta.encoder.layer.2.output.dense.weight 2 ffn_out
        lm_head.dense.weight - lm_head_transform
        lm_head.layer_norm.weight - lm_head_norm
        lm_head.decoder.weight - lm_head
        lm_head.bias - lm_head
        classifier.out_proj.weight - classifier
        classifier.dense.weight - classifier
    """,
    "distilbert": """
        distilbert.embeddings.word_embeddings.weight - token_embedding
        distilbert.embeddings.LayerNorm.weight - embedding_norm
        distilbert.transformer.layer.5.attention.q_lin.weight 5 query
        distilbert.transformer.layer.5.attention.k_lin.weight 5 key
        distilbert.transformer.layer.5.attention.v_lin.bias 5 value
        distilbert.transformer.layer.5.attention.out_lin.weight 5 output
        distilbert.transformer.layer.5.sa_layer_norm.weight 5 attention_norm
        distilbert.transformer.layer.5.ffn.lin1.weight 5 ffn_in
        distilbert.transformer.layer.5.ffn.lin2.weight 5 ffn_out
        distilbert.transformer.layer.5.output_layer_norm.weight 5 ffn_norm
        vocab_transform.weight - lm_head_transform
        vocab_layer_norm.weight - lm_head_norm
        vocab_projector.weight - lm_head
        pre_classifier.weight - classifier
        qa_outputs.weight - classifier
    """,
    "gpt2": """
        wte.weight - token_embedding
        transformer.wpe.weight - position_embedding
        h.0.ln_1.weight 0 attention_norm
        transformer.h.11.attn.c_attn.weight 11 qkv
        h.11.attn.c_proj.bias 11 output
        h.11.attn.bias 11 attention_mask
        h.11.attn.masked_bias 11 attention_mask
        h.0.ln_2.bias 0 ffn_norm
        h.0.mlp.c_fc.weight 0 ffn_in
        h.0.mlp.c_proj.weight 0 ffn_out
        transformer.ln_f.weight - final_norm
        lm_head.weight - lm_head
    """,
    "llama": """
        model.embed_tokens.weight - token_embedding
        model.layers.0.input_layernorm.weight 0 attention_norm
        model.layers.31.self_attn.q_proj.weight 31 query
        model.layers.31.self_attn.k_proj.weight 31 key
        model.layers.31.self_attn.v_proj.weight 31 value
        model.layers.31.self_attn.o_proj.weight 31 output
        model.layers.31.self_attn.rotary_emb.inv_freq 31 rotary
        model.layers.31.post_attention_layernorm.weight 31 ffn_norm
        model.layers.31.mlp.gate_proj.weight 31 ffn_gate
        model.layers.31.mlp.up_proj.weight 31 ffn_in
        model.layers.31.mlp.down_proj.weight 31 ffn_out
        model.norm.weight - final_norm
        lm_head.weight - lm_head
        model.layers.3.mlp.down_proj.qweight 3 ffn_out
        model.layers.3.mlp.down_proj.weight_scale_inv 3 ffn_out
        base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight 7 query
        base_model.model.model.layers.7.mlp.up_proj.lora_B.default.weight 7 ffn_in
    """,
    "original llama": """
        tok_embeddings.weight - token_embedding
        layers.4.attention.wq.weight 4 query
        layers.4.attention.wk.weight 4 key
        layers.4.attention.wv.weight 4 value
        layers.4.attention.wo.weight 4 output
        layers.4.feed_forward.w1.weight 4 ffn_gate
        layers.4.feed_forward.w2.weight 4 ffn_out
        layers.4.feed_forward.w3.weight 4 ffn_in
        layers.4.attention_norm.weight 4 attention_norm
        layers.4.ffn_norm.weight 4 ffn_norm
        norm.weight - final_norm
        output.weight - lm_head
        rope.freqs - rotary
    """,
    "qwen, gemma and phi": """
        model.layers.2.self_attn.q_norm.weight 2 query_norm
        model.layers.2.self_attn.k_norm.weight 2 key_norm
        model.layers.2.self_attn.q_proj.bias 2 query
        model.layers.2.pre_feedforward_layernorm.weight 2 ffn_norm
        model.layers.2.post_feedforward_layernorm.weight 2 ffn_post_norm
        model.layers.2.self_attn.qkv_proj.weight 2 qkv
        model.layers.2.mlp.gate_up_proj.weight 2 ffn_gate_in
        model.layers.2.self_attn.dense.weight 2 output
        model.layers.2.mlp.fc1.weight 2 ffn_in
        model.layers.2.mlp.fc2.bias 2 ffn_out
        model.final_layernorm.weight - final_norm
        transformer.blocks.2.attn.Wqkv.weight 2 qkv
        transformer.blocks.2.norm_1.weight 2 attention_norm
        transformer.norm_f.weight - final_norm
    """,
    "gpt-neox": """
        gpt_neox.embed_in.weight - token_embedding
        gpt_neox.layers.6.input_layernorm.weight 6 attention_norm
        gpt_neox.layers.6.attention.query_key_value.weight 6 qkv
        gpt_neox.layers.6.attention.dense.weight 6 output
        gpt_neox.layers.6.attention.bias 6 attention_mask
        gpt_neox.layers.6.attention.rotary_emb.inv_freq 6 rotary
        gpt_neox.layers.6.mlp.dense_h_to_4h.weight 6 ffn_in
        gpt_neox.layers.6.mlp.dense_4h_to_h.weight 6 ffn_out
        gpt_neox.final_layer_norm.weight - final_norm
        embed_out.weight - lm_head
        transformer.h.1.self_attention.query_key_value.weight 1 qkv
        transformer.h.1.self_attention.dense.weight 1 output
        transformer.word_embeddings_layernorm.weight - embedding_norm
    """,
    "experts": """
        model.layers.5.block_sparse_moe.gate.weight 5 router
        model.layers.5.block_sparse_moe.experts.7.w1.weight 5 expert_ffn_gate
        model.layers.5.block_sparse_moe.experts.7.w2.weight 5 expert_ffn_out
        model.layers.5.block_sparse_moe.experts.7.w3.weight 5 expert_ffn_in
        model.layers.5.mlp.gate.weight 5 router
        model.layers.5.mlp.experts.127.gate_proj.weight 5 expert_ffn_gate
        model.layers.5.mlp.experts.127.up_proj.weight 5 expert_ffn_in
        model.layers.5.mlp.experts.127.down_proj.weight 5 expert_ffn_out
        model.layers.5.mlp.shared_expert.up_proj.weight 5 shared_expert_ffn_in
        model.layers.5.mlp.shared_experts.down_proj.weight 5 shared_expert_ffn_out
        model.layers.5.mlp.shared_expert_gate.weight 5 shared_router
        model.layers.5.mlp.gate.e_score_correction_bias 5 router
        model.layers.5.mlp.experts.gate_up_proj_blocks 5 expert_ffn_gate_in
        model.layers.5.mlp.router.weight 5 router
        model.layers.5.self_attn.sinks 5 attention_sink
        model.layers.5.self_attn.kv_a_proj_with_mqa.weight 5 key_value_down
        model.layers.5.self_attn.kv_b_proj.weight 5 key_value_up
        model.layers.5.self_attn.q_a_proj.weight 5 query_down
        model.layers.5.self_attn.q_a_layernorm.weight 5 query_norm
        model.layers.5.self_attn.kv_a_layernorm.weight 5 key_value_norm
    """,
    "t5": """
        shared.weight - token_embedding
        encoder.embed_tokens.weight - token_embedding encoder
        encoder.block.3.layer.0.SelfAttention.q.weight 3 query encoder
        encoder.block.3.layer.0.SelfAttention.k.weight 3 key encoder
        encoder.block.3.layer.0.SelfAttention.v.weight 3 value encoder
        encoder.block.3.layer.0.SelfAttention.o.weight 3 output encoder
        encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight 0 relative_position encoder
        encoder.block.3.layer.0.layer_norm.weight 3 attention_norm encoder
        encoder.block.3.layer.1.DenseReluDense.wi.weight 3 ffn_in encoder
        encoder.block.3.layer.1.DenseReluDense.wi_0.weight 3 ffn_gate encoder
        encoder.block.3.layer.1.DenseReluDense.wi_1.weight 3 ffn_in encoder
        encoder.block.3.layer.1.DenseReluDense.wo.weight 3 ffn_out encoder
        encoder.block.3.layer.1.layer_norm.weight 3 ffn_norm encoder
        encoder.final_layer_norm.weight - final_norm encoder
        decoder.block.3.layer.0.SelfAttention.q.weight 3 query decoder
        decoder.block.3.layer.1.EncDecAttention.q.weight 3 cross_query decoder
        decoder.block.3.layer.1.EncDecAttention.o.weight 3 cross_output decoder
        decoder.block.3.layer.1.layer_norm.weight 3 cross_attention_norm decoder
        decoder.block.3.layer.2.DenseReluDense.wo.weight 3 ffn_out decoder
        decoder.block.3.layer.2.layer_norm.weight 3 ffn_norm decoder
        lm_head.weight - lm_head
    """,
    "vit": """
        vit.embeddings.cls_token - class_token
        vit.embeddings.position_embeddings - position_embedding
        vit.embeddings.patch_embeddings.projection.weight - patch_embedding
        vit.encoder.layer.4.attention.attention.query.weight 4 query
        vit.encoder.layer.4.attention.output.dense.weight 4 output
        vit.encoder.layer.4.intermediate.dense.weight 4 ffn_in
        vit.encoder.layer.4.output.dense.bias 4 ffn_out
        vit.encoder.layer.4.layernorm_before.weight 4 attention_norm
        vit.encoder.layer.4.layernorm_after.weight 4 ffn_norm
        vit.layernorm.weight - final_norm
        encoder.layer.4.layer_scale1.lambda1 4 layer_scale
        cls_token - class_token
        pos_embed - position_embedding
        patch_embed.proj.weight - patch_embedding
        blocks.7.norm1.weight 7 attention_norm
        blocks.7.attn.qkv.weight 7 qkv
        blocks.7.attn.proj.weight 7 output
        blocks.7.ls1.gamma 7 layer_scale
        blocks.7.norm2.weight 7 ffn_norm
        blocks.7.mlp.fc1.weight 7 ffn_in
        blocks.7.mlp.fc2.weight 7 ffn_out
        norm.weight - final_norm
        head.weight - classifier
    """,
    "clip": """
        text_model.embeddings.token_embedding.weight - token_embedding text
        text_model.embeddings.position_embedding.weight - position_embedding text
        text_model.encoder.layers.2.self_attn.q_proj.weight 2 query text
        text_model.encoder.layers.2.self_attn.out_proj.weight 2 output text
        text_model.encoder.layers.2.layer_norm1.weight 2 attention_norm text
        text_model.encoder.layers.2.mlp.fc1.weight 2 ffn_in text
        text_model.encoder.layers.2.layer_norm2.bias 2 ffn_norm text
        text_model.final_layer_norm.weight - final_norm text
        vision_model.embeddings.class_embedding - class_token vision
        vision_model.embeddings.patch_embedding.weight - patch_embedding vision
        vision_model.pre_layrnorm.weight - embedding_norm vision
        vision_model.encoder.layers.2.self_attn.k_proj.weight 2 key vision
        vision_model.encoder.layers.2.mlp.fc2.weight 2 ffn_out vision
        vision_model.post_layernorm.weight - final_norm vision
        visual_projection.weight - projection
        text_projection.weight - projection
        logit_scale - logit_scale
        visual.conv1.weight - patch_embedding vision
        visual.transformer.resblocks.9.attn.in_proj_weight 9 qkv vision
        visual.transformer.resblocks.9.attn.out_proj.weight 9 output vision
        visual.transformer.resblocks.9.mlp.c_fc.weight 9 ffn_in vision
        visual.ln_pre.weight - embedding_norm vision
        transformer.resblocks.9.ln_1.weight 9 attention_norm
        ln_final.weight - final_norm
    """,
    "whisper": """
        model.encoder.conv1.weight - convolution encoder
        model.encoder.embed_positions.weight - position_embedding encoder
        model.encoder.layers.1.self_attn.k_proj.weight 1 key encoder
        model.encoder.layers.1.self_attn_layer_norm.weight 1 attention_norm encoder
        model.encoder.layers.1.fc1.weight 1 ffn_in encoder
        model.encoder.layers.1.final_layer_norm.weight 1 ffn_norm encoder
        model.encoder.layer_norm.weight - final_norm encoder
        model.decoder.embed_tokens.weight - token_embedding decoder
        model.decoder.layers.1.encoder_attn.q_proj.weight 1 cross_query decoder
        model.decoder.layers.1.encoder_attn.out_proj.bias 1 cross_output decoder
        model.decoder.layers.1.encoder_attn_layer_norm.weight 1 cross_attention_norm decoder
        model.decoder.layers.1.fc2.weight 1 ffn_out decoder
        model.decoder.layer_norm.weight - final_norm decoder
        encoder.blocks.1.attn.query.weight 1 query encoder
        encoder.blocks.1.attn.out.weight 1 output encoder
        encoder.blocks.1.mlp.0.weight 1 ffn_in encoder
        encoder.blocks.1.mlp.2.weight 1 ffn_out encoder
        encoder.ln_post.weight - final_norm encoder
        decoder.blocks.1.cross_attn.value.weight 1 cross_value decoder
        decoder.blocks.1.cross_attn_ln.weight 1 cross_attention_norm decoder
        decoder.positional_embedding - position_embedding decoder
    """,
    "convolutional": """
        conv1.weight - convolution
        module.bn1.running_mean - convolution_norm
        layer1.0.conv1.weight 0 convolution stage1
        module.layer3.2.bn2.num_batches_tracked 2 convolution_norm stage3
        layer2.0.downsample.0.weight 0 downsample stage2
        layer2.0.downsample.1.running_var 0 downsample stage2
        fc.weight - classifier
        resnet.encoder.stages.2.layers.1.layer.0.convolution.weight 1 convolution stage2
        resnet.encoder.stages.2.layers.1.layer.0.normalization.weight 1 convolution_norm stage2
        resnet.encoder.stages.2.layers.0.shortcut.convolution.weight 0 downsample stage2
        stages.3.blocks.1.conv_dw.weight 1 convolution stage3
        stages.3.blocks.1.mlp.fc1.weight 1 ffn_in stage3
        stages.3.blocks.1.gamma 1 layer_scale stage3
        convnext.encoder.stages.1.layers.2.dwconv.weight 2 convolution stage1
        convnext.encoder.stages.1.layers.2.pwconv1.weight 2 ffn_in stage1
        convnext.encoder.stages.1.layers.2.pwconv2.weight 2 ffn_out stage1
        features.0.weight 0 features
    """,
    "recurrent": """
        stft_conv.weight - convolution
        final_conv.bias - convolution
        lstm.weight_ih_l0 0 recurrent_input
        rnn.weight_hh_l1_reverse 1 recurrent_hidden
        gru.bias_ih_l0 0 recurrent_input
        lstm_cell.weight_ih - recurrent_input
        lstm_cell.bias_hh - recurrent_hidden
        enc_w_ih - recurrent_input
        dec_emb - token_embedding
    """,
    "mamba": """
        backbone.embeddings.weight - token_embedding
        backbone.layers.8.mixer.A_log 8 ssm_decay
        backbone.layers.8.mixer.D 8 ssm_skip
        backbone.layers.8.mixer.in_proj.weight 8 ssm_in
        backbone.layers.8.mixer.conv1d.weight 8 ssm_convolution
        backbone.layers.8.mixer.x_proj.weight 8 ssm_select
        backbone.layers.8.mixer.dt_proj.bias 8 ssm_step
        backbone.layers.8.mixer.out_proj.weight 8 ssm_out
        backbone.layers.8.norm.weight 8 norm
        backbone.norm_f.weight - final_norm
    """,
    "never seen": """
        towers.left.units.12.squeeze.weight 12 squeeze
        my_model.thing.3.kernel 3 thing
        sub.grid_0.mystery - mystery
        a.1.b.2.c - c
        widgets.4.parts.9.bolt.bias 4 bolt
        encoder_layers.6.magic.weight 6 magic
        weight - other
        3.weight 3 other
    """,
}
ROWS = [
    (family_name, *line.split()) for family_name, text in NAMES.items() for line in text.split("\n") if line.strip()
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_a_name_has_its_layer_role_and_stack(row):
    name, layer, role = row[1:4]
    found = place(name)
    assert (found.layer, found.role) == (None if layer == "-" else int(layer), role)
    assert found.stack == (row[4] if len(row) > 4 else "")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("encoder.layer.0.output.LayerNorm.gamma", "gamma"),
        ("bn1.running_mean", "running_mean"),
        ("h.0.attn.c_attn.bias", "bias"),
        ("visual.transformer.resblocks.0.attn.in_proj_weight", "weight"),
        ("lstm.weight_ih_l0", "weight"),
        ("lstm.bias_hh_l0_reverse", "bias"),
        ("cls_token", "cls_token"),
        ("q_proj.lora_A.default.weight", "lora_A"),
        ("model.layers.0.mlp.down_proj.qweight", "qweight"),
        ("", ""),
    ],
)
def test_the_part_is_the_last_word(name, part):
    assert place(name).part == part


def test_wrappers_and_slashes_change_nothing():
    plain = place("model.layers.3.self_attn.q_proj.weight")
    for name in ("module.model.layers.3.self_attn.q_proj.weight", "_orig_mod.model/layers/3/self_attn/q_proj/weight"):
        assert place(name) == plain == Place(3, "query", "weight")


def test_the_shape_decides_where_the_name_says_nothing():
    assert place("body.mystery.weight", (8, 4, 3, 3)).role == "convolution"
    assert place("body.mystery.weight", (8, 4)).role == "mystery"
    assert place("blocks.0.attn.qkv.weight", (8, 4, 1, 1)).role == "qkv"


WORDS = """model layers layer encoder decoder experts 0 7 007 ٣ ² -1 99999999999999999999 weight bias attn q_proj module
    weight_ih_l0 weight_ih_l99999999 lora_A default self linear stages blocks h layer1 embeddings norm gamma mlp"""
words = st.sampled_from(WORDS.split())


@given(
    st.text(max_size=200) | st.lists(words | st.text(max_size=5), max_size=12).map(".".join),
    st.none() | st.just((2, 3)),
)
def test_any_text_has_a_place_and_a_title(name, shape):
    found = place(name, shape)
    assert found.layer is None or 0 <= found.layer < 10**6
    assert found.role and found.role == found.role.strip() and len(found.role) <= 64
    assert role_title(found.role)
    assert place(name, shape) == found


@given(
    st.lists(st.text(max_size=60), max_size=10),
    st.none() | st.dictionaries(st.just("model_type"), st.text() | st.none()),
)
def test_any_names_have_a_family(names, config):
    assert family(names, config)


def test_every_role_of_the_table_is_listed_once_and_has_a_title_of_its_own():
    assert len(set(ROLES)) == len(ROLES)
    assert {role for role, _, _ in ROLE_ROWS} <= set(ROLES)
    titles = [role_title(role) for role in ROLES]
    assert len(set(titles)) == len(titles) and all(titles)
    assert ROLES.index("token_embedding") < ROLES.index("query") < ROLES.index("ffn_in") < ROLES.index("lm_head")
    assert role_title("strange_thing") == "Strange thing" and role_title("") == "Other"


FAMILIES = {
    "bert": "bert",
    "roberta": "roberta",
    "distilbert": "distilbert",
    "gpt2": "gpt2",
    "original llama": "llama",
    "gpt-neox": "gpt_neox",
    "t5": "t5",
    "vit": "vit",
    "clip": "clip",
    "whisper": "whisper",
    "mamba": "mamba",
    "recurrent": "recurrent",
    "never seen": "unknown",
}


@pytest.mark.parametrize("group", FAMILIES)
def test_the_family_is_told_from_the_names(group):
    assert family([row[1] for row in ROWS if row[0] == group]) == FAMILIES[group]


def test_more_families_are_told_from_a_few_names():
    for names, expected in (
        (["model.layers.0.self_attn.q_proj.weight"], "llama"),
        (["model.layers.0.self_attn.q_proj.bias", "model.layers.0.self_attn.q_proj.weight"], "qwen2"),
        (["model.layers.0.self_attn.q_norm.weight"], "qwen3"),
        (["model.layers.0.self_attn.qkv_proj.weight"], "phi3"),
        (["model.layers.0.block_sparse_moe.experts.0.w1.weight"], "mixtral"),
        (["transformer.h.0.self_attention.query_key_value.weight"], "bloom"),
        (["module.layer1.0.conv1.weight"], "resnet"),
        (["convnext.encoder.stages.0.layers.0.dwconv.weight"], "convnext"),
        ([], "unknown"),
    ):
        assert family(iter(names)) == expected


def test_the_config_knows_the_family_best():
    assert family(["wte.weight"], {"model_type": "Qwen2"}) == "qwen2"
    for broken in ({}, {"model_type": None}, {"model_type": 7}, {"model_type": ""}, {"model_type": "a\nb"}, None):
        assert family(["h.0.attn.c_attn.weight"], broken) == "gpt2"
