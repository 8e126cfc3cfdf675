// Rows of ft_config_keys for Axolotl keys that mean nothing here; included by config_keys.c inside the table and nowhere else.
//
// IGNORED: leaving it out changes no result, whatever its value. ONLY: harmless for the listed values (and blank), refused by
// name for all others because the result would differ.

    // How the model and tokenizer are loaded
    IGNORED(tokenizer_type,
            "model_type,type_of_model,tokenizer_use_fast,trust_remote_code,low_cpu_mem_usage,device_map,max_memory,"
            "hf_use_auth_token",
            "model and tokenizer are read from their own files; no Python class is loaded"),
    IGNORED(is_llama_derived_model, "is_mistral_derived_model,is_qwen_derived_model,is_falcon_derived_model",
            "the family comes from config.json"),
    IGNORED(special_tokens.unk_token, NULL, "a byte-level tokenizer never produces it"),
    ONLY(load_in_4bit, "load_in_8bit,gptq", "false", "the base is FP8 or bf16 (base_format)",
         "remove it: the frozen base of adapter: lora is FP8 here (base_format: fp8)"),
    ONLY(tokens, "added_tokens_overrides,special_tokens.additional_special_tokens,resize_token_embeddings_to_32x", "false",
         "the vocabulary is the model's", "new tokens and a resized embedding are not implemented"),

    // Adapter variants
    ONLY(peft_use_dora, "use_dora", "false", "adapters are plain LoRA or rsLoRA", "DoRA is not implemented: leave it out"),
    ONLY(lora_modules_to_save, "lora_target_parameters,peft_layers_to_transform,lora_layers_to_transform,unfrozen_parameters",
         "", "adapters train on linear layers only",
         "training whole modules or chosen layers beside the adapters is not implemented"),
    ONLY(lora_fan_in_fan_out, NULL, "false", "linear weights are [out, in]", "transposed linear weights are not supported"),
    ONLY(relora, "relora_steps,lisa_step_interval,lisa_n_layers", "false", "one adapter for the whole run",
         "ReLoRA and LISA are not implemented"),

    // Arithmetic
    IGNORED(bf16, "bfloat16,tf32", "arithmetic is the key compute: bf16 or fp8, with float32 sums"),
    ONLY(fp16, "float16", "false", "arithmetic is the key compute: bf16 or fp8",
         "float16 training is not implemented: use compute: bf16"),
    IGNORED(flash_attention,
            "flash_attn_cross_entropy,flash_attn_rms_norm,flash_attn_fuse_qkv,flash_attn_fuse_mlp,sdp_attention,"
            "xformers_attention,eager_attention,flex_attention,attn_implementation",
            "attention is exact and never crosses documents, whatever computes it"),
    ONLY(s2_attention, NULL, "false", "attention is full", "shifted sparse attention is not implemented"),
    IGNORED(liger_rope,
            "liger_rms_norm,liger_swiglu,liger_glu_activation,liger_layer_norm,liger_cross_entropy,"
            "liger_fused_linear_cross_entropy,cut_cross_entropy,lora_mlp_kernel,lora_qkv_kernel,lora_o_kernel,torch_compile,"
            "torch_compile_backend",
            "fused kernels are built in and always on"),
    ONLY(plugins, NULL, "axolotl.integrations.liger.LigerPlugin|axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin",
         "fused kernels are built in", "there are no plugins"),

    // Memory and processes
    IGNORED(gradient_checkpointing, "gradient_checkpointing_kwargs,activation_offloading,layer_offloading",
            "the plan decides what is recomputed and what is spilled (activation_policy, boundary_placement)"),
    IGNORED(fsdp,
            "fsdp_config,fsdp_version,fsdp_final_state_dict_type,deepspeed,ddp,ddp_timeout,ddp_bucket_cap_mb,"
            "ddp_broadcast_buffers,ddp_find_unused_parameters,local_rank",
            "the plan places and streams weights and optimizer state; one process a node, one thread a GPU"),
    ONLY(sequence_parallel_degree, "context_parallel_size,tensor_parallel_size", "1", "GPUs share the batch",
         "a row is computed by one GPU"),
    IGNORED(dataset_processes,
            "dataset_num_proc,dataloader_num_workers,dataloader_pin_memory,dataloader_prefetch_factor,dataset_keep_in_memory,"
            "total_num_tokens,sample_packing_group_size,sample_packing_bin_size,sample_packing_eff_est",
            "data is tokenized and packed before the first step, on all threads"),

    // Training
    IGNORED(pad_to_sequence_len, NULL, "rows always have sequence_len slots; unused ones are masked and change nothing"),
    ONLY(group_by_length, "curriculum_sampling", "false", "packing makes rows of equal length",
         "sorting samples by length is not implemented: set it to false"),
    ONLY(neftune_noise_alpha, "noisy_embedding_alpha,label_smoothing_factor,z_loss_weight", "0|0.0",
         "the loss is plain cross-entropy",
         "noisy embeddings and changed losses are not implemented"),
    ONLY(rl, "reward_model,process_reward_model,pretraining_dataset,streaming", "false",
         "training is supervised, on a finite data set",
         "reinforcement learning, reward models and streamed data sets are not implemented"),
    ONLY(optim_args, "optim_target_modules,lr_groups,embedding_lr,embedding_lr_scale", "",
         "see adam_beta1, adam_beta2, adam_epsilon",
         "use adam_beta1, adam_beta2 and adam_epsilon; learning rates for parts of the model are not implemented"),

    // Output and tracking
    IGNORED(strict, "debug,experimental", "unknown keys are always an error"),
    IGNORED(save_safetensors, "save_first_step,save_only_model,hub_model_id,hub_strategy,push_dataset_to_hub",
            "checkpoints are safetensors with optimizer state, the first one is checked before step 1, nothing is uploaded"),
    ONLY(save_strategy, "eval_strategy", "steps", "see saves_per_epoch, save_steps, evals_per_epoch, eval_steps",
         "use save_steps or saves_per_epoch"),
    ONLY(load_best_model_at_end, NULL, "false", "the adapter is that of the last step",
         "the best checkpoint is not loaded at the end: leave it out"),
    ONLY(resume_from_checkpoint, "auto_resume_from_checkpoints", "false", "resuming is a flag",
         "use ft-single train CONFIG --resume or --resume-from DIR"),
    IGNORED(eval_batch_size, "eval_table_size,eval_max_new_tokens,do_causal_lm_eval",
            "evaluation uses micro_batch_size; its loss does not depend on it"),
    IGNORED(wandb_project,
            "wandb_entity,wandb_name,wandb_run_id,wandb_watch,wandb_log_model,wandb_mode,mlflow_tracking_uri,"
            "mlflow_experiment_name,mlflow_run_name,hf_mlflow_log_artifacts,comet_project_name,comet_workspace,use_wandb,"
            "use_mlflow,use_comet,use_tensorboard,include_tokens_per_second,include_tkps",
            "metrics are written to OUTPUT/metrics.jsonl; no tracking service is called"),
