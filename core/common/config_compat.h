// Rows of ft_config_keys for Axolotl keys that mean nothing here; included by config_keys.c inside the table and nowhere else.
//
// IGNORED: leaving it out changes no result, whatever its value. ONLY: harmless for the listed values (and blank), refused by
// name for all others because the result would differ. INSTEAD: harmless for the listed values; for others the run does what the
// note says, and warns.

    // How the model and tokenizer are loaded
    IGNORED(tokenizer_type,
            "model_type,type_of_model,tokenizer_use_fast,tokenizer_legacy,tokenizer_use_mistral_common,tokenizer_save_jinja_files,"
            "trust_remote_code,low_cpu_mem_usage,device_map,max_memory,hf_use_auth_token,cls_model_config,"
            "experimental_skip_move_to_device,use_kernels,remove_unused_columns",
            "model and tokenizer are read from their own files; no Python class is loaded"),
    IGNORED(is_llama_derived_model, "is_mistral_derived_model,is_qwen_derived_model,is_falcon_derived_model",
            "the family comes from config.json"),
    IGNORED(special_tokens.unk_token, NULL, "the unknown token is the tokenizer's own"),
    INSTEAD(load_in_4bit, "load_in_8bit", "false", "the base is FP8 or bf16 (base_format)",
            NO_4BIT),
    IGNORED(bnb_config_kwargs,
            "bnb_4bit_use_double_quant,bnb_4bit_quant_type,bnb_4bit_compute_dtype,bnb_4bit_quant_storage,"
            "qlora_sharded_model_loading,lora_on_cpu",
            "no 4-bit copy is made: the frozen base is FP8 or bf16 (base_format)"),
    ONLY(gptq, "use_onebitllms", "false", "the base is FP8 or bf16 (base_format)",
         "start from the model's bf16 or FP8 weights: the frozen base of adapter: lora is FP8 here"),
    IGNORED(gptq_groupsize, "gptq_model_v1,gptq_disable_exllama,model_quantization_config_kwargs",
            "details of GPTQ, which is refused, or of a quantized base, which is FP8 here"),
    ONLY(model_quantization_config, NULL, "FineGrainedFP8Config", "the base is FP8 already (base_format)",
         "the frozen base is FP8 here (base_format: fp8): leave it out"),
    ONLY(tokens,
         "added_tokens_overrides,special_tokens.additional_special_tokens,resize_token_embeddings_to_32x,shrink_embeddings,"
         "fix_untrained_tokens",
         "false", "the vocabulary is the model's", "new tokens and a changed embedding are not implemented"),
    IGNORED(mean_resizing_embeddings, "embeddings_skip_upcast,peft_ensure_weight_tying,loraplus_lr_embedding",
            "embedding and head are frozen and keep their size"),
    INSTEAD(base_model_config, NULL, "false", "the model is what its config.json says", "the config.json of base_model is used"),
    ONLY(overrides_of_model_config, "overrides_of_model_kwargs,rope_scaling,scaling_softmax", "false",
         "the model is what config.json says", "edit config.json of the model"),
    ONLY(processor_type, "processor_kwargs,image_size,image_resize_algorithm,role_boundaries", "", "samples are text",
         "images and sound are not supported: leave it out for a text model"),
    ONLY(reinit_weights, NULL, "false", "training starts from the model's weights",
         "training from random weights is not implemented"),

    // Adapter variants
    ONLY(peft_use_dora, "use_dora", "false", "adapters are plain LoRA or rsLoRA", "DoRA is not implemented: leave it out"),
    ONLY(peft, "loftq_config,peft_init_lora_weights", "true", "A is Kaiming-uniform, B is zero",
         "LoftQ, PiSSA and other initial values are not implemented: leave it out"),
    ONLY(lora_modules_to_save,
         "lora_target_parameters,peft_layers_to_transform,lora_layers_to_transform,unfrozen_parameters,peft_layers_pattern,"
         "peft_layer_replication,peft_trainable_token_indices,lora_rank_pattern,lora_alpha_pattern",
         "", "adapters train on linear layers only, with one rank",
         "training whole modules or chosen layers, or with several ranks, is not implemented"),
    ONLY(lora_fan_in_fan_out, NULL, "false", "linear weights are [out, in]", "transposed linear weights are not supported"),
    IGNORED(peft_autocast_adapter_dtype, NULL, "adapters have float32 masters"),
    IGNORED(merge_lora, "merge_method", "merging is a verb: ft-single merge"),
    ONLY(relora,
         "relora_steps,relora_warmup_steps,relora_anneal_steps,relora_prune_ratio,relora_prune_method,relora_cpu_offload,"
         "jagged_restart_steps,jagged_restart_warmup_steps,jagged_restart_anneal_steps,lisa_step_interval,lisa_n_layers,"
         "lisa_layers_attribute",
         "false", "one adapter and one schedule for the whole run", "ReLoRA, LISA and restarts are not implemented"),

    // Arithmetic
    IGNORED(bf16, "bfloat16,tf32,fp8,fp8_enable_fsdp_float8_all_gather,float32,fp32_norms,fp32_norm_classes",
            "arithmetic is the key compute: bf16 or fp8, with float32 sums"),
    INSTEAD(fp16, "float16", "false", "arithmetic is the key compute: bf16 or fp8",
            "no float16: arithmetic is the key compute, bf16 or fp8 with float32 sums, which needs no scaled loss"),
    ONLY(qat, "quantization", "false", "weights are frozen", "training for a later quantization is not implemented: leave it out"),
    IGNORED(flash_attention,
            "flash_attn_cross_entropy,flash_attn_rms_norm,flash_attn_fuse_qkv,flash_attn_fuse_mlp,flash_optimum,sdp_attention,"
            "xformers_attention,eager_attention,flex_attention,flex_attn_compile_kwargs,sage_attention,attn_implementation,"
            "fused_attn_kernel,sdpa_varlen,flash_attn_d512,large_head_attention,batch_flattening",
            "attention is exact and never crosses documents, whatever computes it"),
    ONLY(s2_attention, "use_pose", "false", "attention is full", "shifted attention and skipped positions are not implemented"),
    IGNORED(liger_rope,
            "liger_rms_norm,liger_swiglu,liger_glu_activation,liger_layer_norm,liger_cross_entropy,"
            "liger_fused_linear_cross_entropy,liger_use_token_scaling,cut_cross_entropy,chunked_cross_entropy,"
            "chunked_cross_entropy_num_chunks,lora_mlp_kernel,lora_qkv_kernel,lora_o_kernel,lora_embedding_kernel,tiled_mlp,"
            "tiled_mlp_num_shards,tiled_mlp_use_original_mlp,torch_compile,torch_compile_backend,torch_compile_mode,"
            "torch_compile_options,unsloth_cross_entropy_loss,unsloth_lora_mlp,unsloth_lora_qkv,unsloth_lora_o,unsloth_rms_norm,"
            "unsloth_rope",
            "fused kernels are built in and always on"),
    ONLY(plugins, NULL,
         "axolotl.integrations.liger.LigerPlugin|axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin|"
         "axolotl.integrations.swanlab.SwanLabPlugin",
         "fused kernels are built in; no tracking service is called", "there are no plugins: leave out what needs this one"),
    ONLY(diffusion, "llmcompressor,trainer_cls,use_eaft", "false", "training is by cross-entropy on the next token",
         "other trainers are not implemented"),

    // Memory and processes
    IGNORED(gradient_checkpointing,
            "gradient_checkpointing_kwargs,selective_checkpointing,activation_offloading,layer_offloading,gpu_memory_limit,"
            "gc_steps,gc_collect_steps,torch_empty_cache_steps",
            "the plan decides what is recomputed and what is spilled (activation_policy, boundary_placement, hbm_budget)"),
    IGNORED(fsdp,
            "fsdp_config,fsdp_version,fsdp_final_state_dict_type,deepspeed,deepcompile,ddp,ddp_timeout,ddp_bucket_cap_mb,"
            "ddp_broadcast_buffers,ddp_find_unused_parameters,local_rank,world_size,accelerator_config,dp_shard_size,"
            "dp_replicate_size,torchdistx_path,use_ray,ray_run_name,ray_num_workers,resources_per_worker",
            "the plan places and streams weights and optimizer state; one process a node, one thread a GPU"),
    INSTEAD(sequence_parallel_degree, "context_parallel_size,tensor_parallel_size", "1", "GPUs share the batch",
            "a row is computed by one GPU, so all GPUs share the batch: a step has more tokens than with GPUs in groups"),
    IGNORED(heads_k_stride, "ring_attn_func", "a row is computed by one GPU"),
    IGNORED(experts_implementation, "quantize_moe_experts,llama4_linearized_experts", "models are dense; others are refused"),
    IGNORED(dataset_processes,
            "dataset_num_proc,dataloader_num_workers,dataloader_pin_memory,dataloader_prefetch_factor,dataset_keep_in_memory,"
            "total_num_tokens,total_supervised_tokens,sample_packing_group_size,sample_packing_bin_size,sample_packing_eff_est,"
            "sample_packing_mp_start_method,multipack_real_batches,num_dataset_shards_to_save,is_preprocess,preprocess_iterable,"
            "axolotl_config_path",
            "data is tokenized, shuffled and packed before the first step, on all threads"),

    // Data
    IGNORED(pad_to_sequence_len, "pad_to_multiple_of", "rows always have sequence_len slots; unused ones are masked and change nothing"),
    ONLY(group_by_length, "curriculum_sampling,sample_packing_sequentially,dataloader_drop_last,shuffle_before_merging_datasets", "false",
         "rows are packed from shuffled samples", "another order of the samples is not implemented: leave it out"),
    ONLY(dataset_exact_deduplication, "skip_prepare_dataset", "false", "every sample is used",
         "repeated samples are not looked for: remove them from the data"),
    ONLY(min_sample_len, "dataset_shard_num,dataset_shard_idx,eval_sequence_len,max_packed_sequence_len", "",
         "samples are chosen by sequence_len", "use max_samples of a dataset, sequence_len and sample_packing"),
    IGNORED(eot_tokens, NULL, "a turn ends as the chat template ends it"),
    ONLY(chat_template_jinja, "chat_template_kwargs,default_system_message", "", "conversations are written by chat_template",
         "put the template into the model's tokenizer_config.json and a system message into the data"),
    ONLY(rl, "reward_model,process_reward_model,pretraining_dataset,streaming", "false",
         "training is supervised, on a finite data set",
         "reinforcement learning, reward models and streamed data sets are not implemented"),
    IGNORED(pretrain_multipack_attn,
            "pretrain_multipack_buffer_size,pretraining_sample_concatenation,streaming_multipack_buffer_size,trl,vllm,ebft,"
            "orpo_alpha,simpo_gamma,cpo_alpha,kto_desirable_weight,kto_undesirable_weight,rl_beta,dpo_beta,dpo_use_weighting,"
            "dpo_label_smoothing,dpo_loss_type,dpo_loss_weights,precompute_ref_log_probs,center_rewards_coefficient,num_labels,"
            "max_prompt_len",
            "only of streamed data, reinforcement learning and reward models, which are refused (streaming, rl)"),

    // Training
    ONLY(neftune_noise_alpha, "noisy_embedding_alpha,label_smoothing_factor,z_loss_weight", "0|0.0",
         "the loss is plain cross-entropy",
         "noisy embeddings and changed losses are not implemented"),
    ONLY(optim_args, "optim_target_modules,lr_groups,embedding_lr,embedding_lr_scale,adam_epsilon2,adam_beta3", "",
         "see adam_beta1, adam_beta2, adam_epsilon",
         "use adam_beta1, adam_beta2 and adam_epsilon; learning rates for parts of the model are not implemented"),
    ONLY(lr_quadratic_warmup, "lr_scheduler_kwargs,lr_div_factor,cosine_constant_lr_ratio,eta_min", "false|0|0.0",
         "see lr_scheduler, warmup_steps, cosine_min_lr_ratio",
         "the course of the learning rate is lr_scheduler, warmup_steps and cosine_min_lr_ratio"),
    ONLY(batch_size, "auto_find_batch_size", "false", "see micro_batch_size, gradient_accumulation_steps",
         "use micro_batch_size and gradient_accumulation_steps"),
    IGNORED(qgalore_rank,
            "qgalore_update_proj_gap,qgalore_scale,qgalore_proj_type,qgalore_proj_quant,qgalore_proj_bits,"
            "qgalore_proj_group_size,qgalore_cos_threshold,qgalore_gamma_proj,qgalore_queue_size,dion_lr,dion_momentum,"
            "dion_rank_fraction,dion_rank_multiple_of",
            "only of optimizers that are refused"),
    INSTEAD(loss_watchdog_threshold, "loss_watchdog_patience", "",
            "a run stops by itself at non-finite gradients; the loss is shown and in OUTPUT/metrics.jsonl",
            "a high loss does not stop the run, only gradients that are not finite do"),

    // Output and tracking
    IGNORED(strict, "debug,experimental", "unknown keys are always an error"),
    IGNORED(save_safetensors, "save_first_step,save_only_model,hub_model_id,hub_strategy,hub_revision,push_dataset_to_hub,dynamic_checkpoint",
            "checkpoints are safetensors with optimizer state, the first one is checked before step 1, nothing is uploaded"),
    ONLY(save_strategy, NULL, "steps", "see saves_per_epoch, save_steps, save_minutes",
         "use save_steps or saves_per_epoch"),
    ONLY(eval_strategy, "evaluation_strategy", "steps|epoch", "see evals_per_epoch, eval_steps; unset, every epoch ends with one",
         "use eval_steps or evals_per_epoch"),
    ONLY(load_best_model_at_end, NULL, "false", "the adapter is that of the last step",
         "the best checkpoint is not loaded at the end: leave it out"),
    ONLY(metric_for_best_model, NULL, "loss|eval_loss", "the best evaluation is the one with the lowest loss",
         "the evaluation loss is the one measure: leave it out"),
    ONLY(greater_is_better, NULL, "false", "the best evaluation is the one with the lowest loss",
         "the evaluation loss is the one measure: leave it out"),
    ONLY(resume_from_checkpoint, "auto_resume_from_checkpoints", "false", "resuming is a flag",
         "use ft-single train CONFIG --resume or --resume-from DIR"),
    IGNORED(eval_batch_size,
            "eval_table_size,eval_max_new_tokens,do_causal_lm_eval,eval_causal_lm_metrics,do_bench_eval,bench_dataset,bench_split,"
            "generate_samples,num_generation_samples,generation_max_new_tokens,generation_temperature,generation_top_p,"
            "generation_top_k,generation_prompt_ratio,generation_do_sample",
            "evaluation is loss and perplexity, with micro_batch_size; texts come from ft-single generate"),
    IGNORED(wandb_project,
            "wandb_entity,wandb_name,wandb_run_id,wandb_watch,wandb_log_model,wandb_mode,mlflow_tracking_uri,"
            "mlflow_experiment_name,mlflow_run_name,hf_mlflow_log_artifacts,comet_api_key,comet_project_name,comet_workspace,"
            "comet_experiment_key,comet_mode,comet_online,comet_experiment_config,use_wandb,use_mlflow,use_comet,"
            "use_trackio,trackio_project_name,trackio_run_name,trackio_space_id,use_otel_metrics,otel_metrics_host,"
            "otel_metrics_port,use_swanlab,swanlab_project,swanlab_experiment_name,swanlab_description,swanlab_mode,"
            "swanlab_workspace,swanlab_log_completions,include_tokens_per_second,include_tkps,profiler_steps,profiler_steps_start",
            "metrics are written to OUTPUT/metrics.jsonl; no tracking service is called"),
    IGNORED(gradio_title, "gradio_share,gradio_server_name,gradio_server_port,gradio_max_new_tokens,gradio_temperature",
            "there is no web page; see ft-single generate"),
