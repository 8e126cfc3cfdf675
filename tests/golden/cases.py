"""The cases of tests/golden as data: what make_golden.py writes and oracle.py runs. README.md says why each exists."""
import json
import pathlib

import torch

HERE = pathlib.Path(__file__).resolve().parent
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]

# Three Llamas serve six cases, to keep the folder under 5 MB: where a case's model is another's, CASE/model is a symbolic
# link to it, and the cases differ in adapter, data, optimizer and base_format.
#
# dialect: 5 = rope_parameters and dtype, as transformers 5 writes config.json; 4 = rope_scaling, rope_theta and torch_dtype, as
# transformers 4.46 does; "4-llama2" = the same before head_dim existed (Llama 2).
QWEN = dict(rms_norm_eps=1e-6, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, use_sliding_window=False,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0))
MODELS = {
    "gqa_untied_r4": dict(
        seed=101, dialect=5, dtype=torch.bfloat16, shard="10MB",
        config=dict(vocab_size=320, hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
                    num_key_value_heads=1, head_dim=128, tie_word_embeddings=False, rms_norm_eps=1e-5,
                    max_position_embeddings=2048, bos_token_id=1, eos_token_id=2,
                    rope_parameters=dict(rope_type="default", rope_theta=500000.0))),
    # original_max_position_embeddings 64: wavelengths 6.3 and 11 stay, 20, 35 and 63 are smoothed, the other eleven are divided.
    "llama3rope_tied_r16": dict(
        seed=102, dialect=4, dtype=torch.float32, shard="250KB",
        config=dict(vocab_size=320, hidden_size=128, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                    num_key_value_heads=1, head_dim=32, tie_word_embeddings=True, rms_norm_eps=1e-5,
                    max_position_embeddings=512, bos_token_id=1, eos_token_id=[2, 3],
                    rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
                                         high_freq_factor=4.0, original_max_position_embeddings=64))),
    "mha_odd": dict(
        seed=103, dialect="4-llama2", dtype=torch.float16, shard="10MB",
        config=dict(vocab_size=320, hidden_size=192, intermediate_size=320, num_hidden_layers=2, num_attention_heads=3,
                    num_key_value_heads=3, head_dim=64, tie_word_embeddings=True, rms_norm_eps=1e-6,
                    max_position_embeddings=1024, bos_token_id=1, eos_token_id=2,
                    rope_parameters=dict(rope_type="default", rope_theta=10000.0))),
    # The window is as long as the longest document: in use, and without effect.
    "mistral_window": dict(
        seed=104, dialect=4, dtype=torch.bfloat16, shard="10MB", model_type="mistral",
        config=dict(vocab_size=320, hidden_size=96, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, head_dim=24, tie_word_embeddings=False, rms_norm_eps=1e-5,
                    max_position_embeddings=512, bos_token_id=1, eos_token_id=2, sliding_window=56,
                    rope_parameters=dict(rope_type="default", rope_theta=10000.0))),
    "qwen2_bias_tied": dict(
        seed=105, dialect=4, dtype=torch.bfloat16, shard="10MB", model_type="qwen2",
        config=dict(vocab_size=320, hidden_size=112, intermediate_size=144, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, tie_word_embeddings=True, **QWEN)),
    "qwen2_fp8_untied": dict(
        seed=106, dialect=5, dtype=torch.bfloat16, shard="10MB", model_type="qwen2",
        config=dict(vocab_size=320, hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=4, tie_word_embeddings=False, **QWEN)),
    "qwen3_qknorm_untied": dict(
        seed=107, dialect=4, dtype=torch.bfloat16, shard="10MB", model_type="qwen3",
        config=dict(vocab_size=320, hidden_size=96, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, head_dim=36, tie_word_embeddings=False, **QWEN)),
    "qwen3_fp8_tied": dict(
        seed=108, dialect=5, dtype=torch.bfloat16, shard="10MB", model_type="qwen3",
        config=dict(vocab_size=320, hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
                    num_key_value_heads=1, head_dim=128, tie_word_embeddings=True, **QWEN)),
    "qwen2_fp8_wide": dict(
        seed=109, dialect=5, dtype=torch.bfloat16, shard="10MB", model_type="qwen2",
        config=dict(vocab_size=320, hidden_size=256, intermediate_size=384, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, tie_word_embeddings=True, **QWEN)),
}

# docs: (length, how labels are masked), see `labels_of`.
CASES = {
    "gqa_untied_r4": dict(
        about="head_dim 128, grouped queries, untied head, plain rope, every linear adapted",
        model="gqa_untied_r4", seed=201, base_format="bf16", sequence_len=64,
        docs=[(13, "p"), (7, "f"), (37, "t"), (2, "f"), (1, "f"), (23, "p"), (43, "p")],
        lora=dict(r=4, alpha=8, target_modules=ATTENTION + MLP),
        optimizer=dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, max_grad_norm=1.0)),
    "llama3rope_tied_r16": dict(
        about="llama3 rope in all three bands, head_dim 32 with hidden != heads * head_dim, tied head, f32 source in shards",
        model="llama3rope_tied_r16", seed=202, base_format="bf16", sequence_len=96,
        docs=[(29, "p"), (7, "t"), (96, "p"), (37, "f"), (2, "m"), (58, "t")],
        lora=dict(r=16, alpha=32, target_modules=ATTENTION),
        optimizer=dict(lr=5e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, max_grad_norm=1.0)),
    "mha_odd": dict(
        about="hidden 192 and ffn 320 leave partial 128-tiles, 3 heads, f16 source, three targets only, rsLoRA",
        model="mha_odd", seed=203, base_format="bf16", sequence_len=50,
        docs=[(11, "p"), (5, "f"), (50, "t"), (37, "p"), (7, "m"), (3, "f"), (2, "f")],
        lora=dict(r=4, alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], rslora=True),
        optimizer=dict(lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, max_grad_norm=1.0)),
    "fp8_untied_r16": dict(
        about="the base of gqa_untied_r4 in fp8; q|k|v (256, 128, 128 rows) and gate|up (128, 128) may be stacked",
        model="gqa_untied_r4", seed=204, base_format="fp8", sequence_len=128,
        docs=[(13, "p"), (7, "f"), (101, "t"), (27, "p"), (37, "p"), (64, "f"), (2, "m"), (1, "f")],
        lora=dict(r=16, alpha=16, target_modules=["q_proj", "k_proj", "v_proj"] + MLP),
        optimizer=dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, max_grad_norm=1.0)),
    "fp8_odd": dict(
        about="the base of mha_odd in fp8: partial tiles at both edges, one all-zero tile, nothing may be stacked",
        model="mha_odd", seed=205, base_format="fp8", sequence_len=50,
        docs=[(9, "p"), (7, "f"), (49, "t"), (31, "p"), (19, "f"), (1, "m")],
        lora=dict(r=2, alpha=4, target_modules=ATTENTION + MLP),
        optimizer=dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, max_grad_norm=1.0)),
    "loraplus_dropoutless": dict(
        about="LoRA+ (B learns 4 times as fast), decay 0.1, a clip that acts at every step, the base of llama3rope_tied_r16",
        model="llama3rope_tied_r16", seed=206, base_format="bf16", sequence_len=72,
        docs=[(17, "p"), (2, "f"), (72, "t"), (39, "p"), (33, "p"), (5, "f")],
        lora=dict(r=8, alpha=16, target_modules=MLP, loraplus_lr_ratio=4.0),
        optimizer=dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.1, max_grad_norm=0.05)),
    "mistral_window": dict(
        about="Mistral: a sliding window of sequence_len, hidden 96 and ffn 160 leave partial 128-tiles, head_dim 24, untied",
        model="mistral_window", seed=207, base_format="bf16", sequence_len=56,
        docs=[(13, "p"), (56, "t"), (2, "f"), (31, "p"), (19, "f")],
        lora=dict(r=2, alpha=4, target_modules=ATTENTION + MLP),
        optimizer=dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, max_grad_norm=1.0)),
    "qwen2_bias_tied": dict(
        about="Qwen2: biases on q, k and v, head_dim 28 (not in the file), tied, a window that is given and not in use",
        model="qwen2_bias_tied", seed=208, base_format="bf16", sequence_len=48,
        docs=[(17, "p"), (48, "t"), (1, "f"), (29, "p"), (7, "m")],
        lora=dict(r=2, alpha=4, target_modules=ATTENTION + MLP),
        optimizer=dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, max_grad_norm=1.0)),
    "qwen2_fp8_untied": dict(
        about="Qwen2 on an fp8 base: biases beside a stacked q|k|v (128 rows each), untied, no query grouping",
        model="qwen2_fp8_untied", seed=209, base_format="fp8", sequence_len=48,
        docs=[(11, "p"), (41, "t"), (23, "f")],
        lora=dict(r=2, alpha=4, target_modules=["q_proj", "k_proj", "v_proj"]),
        optimizer=dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, max_grad_norm=1.0)),
    "qwen3_qknorm_untied": dict(
        about="Qwen3: q and k heads normed before rope, head_dim 36 with hidden 96 != 4 heads x 36, untied",
        model="qwen3_qknorm_untied", seed=210, base_format="bf16", sequence_len=48,
        docs=[(17, "p"), (48, "t"), (1, "f"), (29, "p"), (2, "m")],
        lora=dict(r=2, alpha=4, target_modules=ATTENTION + MLP),
        optimizer=dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, max_grad_norm=1.0)),
    "qwen3_fp8_tied": dict(
        about="Qwen3 on an fp8 base: head_dim 128, q (256 rows), k and v (128 each) stacked, tied",
        model="qwen3_fp8_tied", seed=211, base_format="fp8", sequence_len=48,
        docs=[(11, "p"), (41, "t"), (23, "f")],
        lora=dict(r=2, alpha=4, target_modules=ATTENTION),
        optimizer=dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, max_grad_norm=1.0)),
    "qwen2_fp8_wide": dict(
        about="Qwen2 on an fp8 base whose matrices are several whole tiles each way: head_dim 64, biases, grouped queries",
        model="qwen2_fp8_wide", seed=212, base_format="fp8", sequence_len=80,
        docs=[(17, "p"), (80, "t"), (1, "f"), (41, "p"), (29, "f"), (3, "m")],
        lora=dict(r=4, alpha=8, target_modules=ATTENTION + MLP),
        optimizer=dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, max_grad_norm=1.0)),
}


def read_data(name):
    return [json.loads(line) for line in open(HERE / name / "data.jsonl")]
