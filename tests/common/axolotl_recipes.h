// The keys and values of public Axolotl recipes for Llama 3.1, in this project's own order and grouping.
#ifndef FT_TESTS_COMMON_AXOLOTL_RECIPES_H
#define FT_TESTS_COMMON_AXOLOTL_RECIPES_H

#define AXOLOTL_SNAPSHOT "222de096204587406c7cadb3e0a101aade116279"

#define AXOLOTL_DATA                             \
    "chat_template: llama3\n"                    \
    "datasets:\n"                                \
    "  - path: mlabonne/FineTome-100k\n"         \
    "    type: chat_template\n"                  \
    "    split: train\n"                         \
    "dataset_prepared_path: $PATH_STORAGE/axolotl/last_run_prepared\n" \
    "val_set_size: 0.0\n"                        \
    "train_on_inputs: false\n"                   \
    "group_by_length: false\n"                   \
    "sequence_len: 4096\n"                       \
    "sample_packing: true\n"                     \
    "pad_to_sequence_len: true\n"

#define AXOLOTL_FSDP                             \
    "fsdp: [full_shard, auto_wrap]\n"            \
    "fsdp_config:\n"                             \
    "  fsdp_limit_all_gathers: true\n"           \
    "  fsdp_offload_params: true\n"              \
    "  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP\n" \
    "  fsdp_transformer_layer_cls_to_wrap: LlamaDecoderLayer\n" \
    "  fsdp_sharding_strategy: FULL_SHARD\n"

// Full fine-tuning of 405B on eight nodes.
#define AXOLOTL_405B_FFT                         \
    "base_model: $PATH_STORAGE/.cache/huggingface/hub/models--meta-llama--Meta-Llama-3.1-405B/snapshots/" AXOLOTL_SNAPSHOT "\n" \
    "tokenizer_type: AutoTokenizer\n"            \
    "strict: false\n"                            \
    "plugins:\n"                                 \
    "  - axolotl.integrations.liger.LigerPlugin\n" \
    "liger_rope: true\n"                         \
    "liger_rms_norm: true\n"                     \
    "liger_swiglu: true\n"                       \
    "liger_fused_linear_cross_entropy: true\n"   \
    AXOLOTL_DATA                                 \
    "output_dir: $PATH_STORAGE/axolotl-artifacts/outputs/llama3_1-405b-finetome\n" \
    "save_safetensors: false\n"                  \
    "wandb_project: llama-3.1-405b-fft-finetome\n" \
    "wandb_entity:\n"                            \
    "gradient_accumulation_steps: 1\n"           \
    "micro_batch_size: 1\n"                      \
    "num_epochs: 2\n"                            \
    "optimizer: adamw_torch\n"                   \
    "lr_scheduler: cosine\n"                     \
    "learning_rate: 1.0e-5\n"                    \
    "warmup_steps: 100\n"                        \
    "weight_decay: 0.1\n"                        \
    "bf16: true\n"                               \
    "tf32: true\n"                               \
    "gradient_checkpointing: true\n"             \
    "gradient_checkpointing_kwargs: {use_reentrant: false}\n" \
    "logging_steps: 1\n"                         \
    "saves_per_epoch: 1\n"                       \
    "flash_attention: true\n"                    \
    "fsdp_final_state_dict_type: SHARDED_STATE_DICT\n" \
    AXOLOTL_FSDP                                 \
    "special_tokens:\n"                          \
    "  pad_token: <|finetune_right_pad_id|>\n"   \
    "  eos_token: <|eot_id|>\n"

// QLoRA of 405B on one node.
#define AXOLOTL_405B_QLORA                       \
    "base_model: meta-llama/Meta-Llama-3.1-405B\n" \
    "tokenizer_type: AutoTokenizer\n"            \
    "load_in_4bit: true\n"                       \
    "strict: false\n"                            \
    AXOLOTL_DATA                                 \
    "output_dir: $PATH_STORAGE/axolotl-artifacts/outputs/qlora-llama3_1-405b-finetome\n" \
    "save_safetensors: true\n"                   \
    "adapter: qlora\n"                           \
    "lora_r: 16\n"                               \
    "lora_alpha: 32\n"                           \
    "lora_dropout: 0.05\n"                       \
    "lora_target_modules:\n"                     \
    "lora_target_linear: true\n"                 \
    "gradient_accumulation_steps: 4\n"           \
    "micro_batch_size: 1\n"                      \
    "num_epochs: 2\n"                            \
    "optimizer: adamw_torch\n"                   \
    "lr_scheduler: cosine\n"                     \
    "learning_rate: 0.00001\n"                   \
    "warmup_steps: 10\n"                         \
    "weight_decay: 0.0\n"                        \
    "bf16: true\n"                               \
    "tf32: true\n"                               \
    "gradient_checkpointing: true\n"             \
    "flash_attention: true\n"                    \
    "evals_per_epoch: 4\n"                       \
    "saves_per_epoch: 1\n"                       \
    AXOLOTL_FSDP                                 \
    "special_tokens: {pad_token: <|finetune_right_pad_id|>}\n"

#endif
