// What every verb that touches a model does first: shape, device, store, machine, plan.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/threads.h"
#include "kernels/cpu/compute.h"
#include "kernels/cpu/gemm.h"
#include "model/decode.h"
#include "offload/store_random.h"
#include "train/session_machine.h"

ft_status ft_config_targets(const ft_config *config, unsigned *targets)
{
    *targets = 0;
    for (int i = 0; i < config->lora_target_modules.n; i++) {
        ft_linear linear;
        const char *name = config->lora_target_modules.items[i];
        bool all = strcmp(name, "all-linear") == 0;
        if (!all && !ft_linear_from_name(name, &linear))
            return ft_error(FT_E_USAGE, "lora_target_modules: '%s' is not one of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, "
                            "down_proj, all-linear", name);
        *targets |= all ? FT_LINEAR_ALL : 1u << linear;
    }
    if (config->lora_target_linear) *targets = FT_LINEAR_ALL;
    if (*targets == 0) return ft_error(FT_E_USAGE, "no linear is targeted: set lora_target_linear: true or lora_target_modules");
    return FT_OK;
}

ft_status ft_config_accumulation(const ft_config *config, int gpus, int64_t *accumulation)
{
    *accumulation = config->gradient_accumulation_steps;
    if (config->global_batch_tokens <= 0) return FT_OK;
    int64_t tokens = config->global_batch_tokens, per_batch = config->micro_batch_size * config->sequence_len * gpus;
    *accumulation = tokens / per_batch;
    if (*accumulation * per_batch == tokens) return FT_OK;
    bool up = *accumulation == 0 || tokens % per_batch * 2 >= per_batch;
    return ft_error(FT_E_USAGE, "global_batch_tokens %lld is not a multiple of micro_batch_size x sequence_len x gpus = %lld; the nearest is %lld",
                    (long long)tokens, (long long)per_batch, (long long)((*accumulation + up) * per_batch));
}

static ft_status read_shape(ft_shape *shape, const ft_config *config)
{
    if (config->geometry) return ft_shape_geometry(shape, config->geometry);
    if (config->base_model == NULL) return ft_error(FT_E_USAGE, "no model: give --model DIR, or base_model in the config");
    if (!ft_path_is_directory(config->base_model))
        return ft_error(FT_E_INPUT, "%s: no such model directory (config.json and safetensors files are expected in it)", config->base_model);
    return ft_shape_read(shape, config->base_model);
}

static ft_status derive(ft_settings *settings)
{
    ft_shape shape;
    char text[32];
    FT_TRY(read_shape(&shape, &settings->values));
    settings->values.vocab = shape.vocab;
    settings->values.family_template = shape.family->chat_template;
    bool windowed = shape.window > 0 && shape.window < shape.max_positions;
    int64_t limit = windowed ? shape.window : shape.max_positions;
    if (ft_settings_given(settings, "sequence_len") || settings->values.sequence_len <= limit) return FT_OK;
    snprintf(text, sizeof text, "%lld", (long long)limit);
    return ft_settings_derive(settings, "sequence_len", text, windowed ? "sliding_window of the model" : "max_position_embeddings of the model");
}

ft_status ft_config_derive(ft_settings *settings)
{
    FT_TRY(ft_config_locate(settings));
    return derive(settings);
}

ft_status ft_config_derive_for_text(ft_settings *settings)
{
    FT_TRY(ft_config_locate_for_text(settings));
    return derive(settings);
}

ft_status ft_config_derive_for_data(ft_settings *settings)
{
    FT_TRY(ft_config_locate_for_data(settings));
    return settings->values.base_model ? derive(settings) : FT_OK;
}

ft_status ft_config_derive_for_plan(ft_settings *settings)
{
    FT_TRY(ft_config_locate_for_plan(settings));
    return derive(settings);
}

ft_base_format ft_config_base_format(const ft_config *config)
{
    return strcmp(config->base_format, "bf16") == 0 ? FT_BASE_BF16 : FT_BASE_FP8;
}

static ft_status store_options(const ft_session *session, const ft_config *config, const ft_session_options *options, ft_store_options *store)
{
    *store = (ft_store_options){.nvme = (const char *const *)config->nvme.items, .n_nvme = config->nvme.n, .format = ft_config_base_format(config)};
    return ft_session_drive_options(session, config, options, &store->io);
}

static ft_status open_store(ft_session *session, const ft_config *config, const ft_session_options *session_options)
{
    ft_store_options options;
    FT_TRY(store_options(session, config, session_options, &options));
    for (int i = 0; i < config->nvme.n; i++) FT_TRY(ft_make_directory(config->nvme.items[i]));
    // A store made from the hub's commit needs none of its weight files, and they may not be here.
    ft_status status = ft_store_find_snapshot(config->base_model, &options, session->store_id);
    if (status == FT_E_NOT_FOUND) {
        FT_TRY(ft_store_id(config->base_model, options.format, session->store_id));
        status = ft_store_prepare(config->base_model, &options, session_options->stop);
    }
    FT_TRY(status);
    FT_TRY(ft_store_open(&session->store, config->base_model, session->store_id, &options));
    session->layout = session->store->layout;
    return FT_OK;
}

// On drives: what the shape's config.json says, as a store.
static ft_status open_random_drives(ft_session *session, const ft_config *config, const ft_session_options *session_options)
{
    ft_store_options options;
    FT_TRY(store_options(session, config, session_options, &options));
    ft_shape shape;
    char *text;
    bool made;
    for (int i = 0; i < config->nvme.n; i++) FT_TRY(ft_make_directory(config->nvme.items[i]));
    FT_TRY(ft_shape_read_text(&shape, config->base_model, &text));
    ft_status status = ft_store_prepare_random(text, (uint64_t)config->seed, &options, session_options->stop, session->store_id, &made);
    ft_free(text);
    FT_TRY(status);
    FT_TRY(ft_store_open(&session->store, NULL, session->store_id, &options));
    session->layout = session->store->layout;
    return FT_OK;
}

static ft_status open_random(ft_session *session, const ft_config *config, const ft_session_options *options)
{
    if (config->nvme.n > 0) return open_random_drives(session, config, options);
    FT_TRY(ft_store_open_random(&session->store, &session->shape, ft_config_base_format(config), (uint64_t)config->seed));
    session->layout = session->store->layout;
    return FT_OK;
}

// Resident bytes of this process now: libraries, tokenizer, data, BLAS buffers.
static int64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long long size, resident = 0;
    if (file == NULL) return 0;
    if (fscanf(file, "%lld %lld", &size, &resident) != 2) resident = 0;
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

// What the plan's arenas are added to: this process as it is, and the buffers its threads will touch when they multiply.
static int64_t process_bytes(const ft_session *session)
{
    bool multiplies = session->machine.device == FT_DEVICE_CPU;
    return resident_bytes() + (multiplies ? ft_threads_count() * ft_gemm_thread_bytes() : 0);
}

static int tier_wish(const char *text)
{
    static const char *const names[] = {"hbm", "host", "nvme"};
    for (int i = 0; i < FT_TIER_COUNT; i++)
        if (text && strcmp(text, names[i]) == 0) return i;
    return FT_PLAN_AUTO;
}

static ft_policy policy_wish(const char *text)
{
    if (text && strcmp(text, "keep") == 0) return FT_POLICY_KEEP;
    return text && strcmp(text, "recompute") == 0 ? FT_POLICY_RECOMPUTE : FT_POLICY_AUTO;
}

static ft_compute compute_mode(const ft_session *session, const ft_config *config)
{
    if (session->machine.device == FT_DEVICE_CPU) return FT_COMPUTE_F32;
    return strcmp(config->compute, "fp8") == 0 ? FT_COMPUTE_FP8 : FT_COMPUTE_BF16;
}

static int64_t sequence_len(const ft_config *config, const ft_session_options *options)
{
    return options->sequence_len > 0 ? options->sequence_len : config->sequence_len;
}

static ft_status make_plan(ft_session *session, const ft_config *config, const ft_session_options *options)
{
    int64_t accumulation;
    int gpus = config->gpus > 0 ? (int)config->gpus : options->plan_only ? session->machine.gpus : 1;
    FT_TRY(ft_config_accumulation(config, gpus, &accumulation));
    if (!options->train && options->micro_batches > 0) accumulation = options->micro_batches;
    if (session->machine.device == FT_DEVICE_CPU && strcmp(config->compute, "fp8") == 0)
        ft_warn("compute: fp8 describes the CUDA device; the CPU device computes in float32");
    ft_plan_request request = {
        .layout = &session->layout, .machine = &session->machine, .compute = compute_mode(session, config),
        .gpus = gpus,
        .sequence_len = sequence_len(config, options),
        .micro_batch_size = config->micro_batch_size, .max_docs = options->max_docs, .accumulation = accumulation, .train = options->train,
        .lora_r = session->adapter.r, .lora_targets = session->adapter.targets, .dropout = session->adapter.dropout > 0 && options->train,
        .head_chunk = config->head_chunk, .mlp_chunk = config->mlp_chunk, .alias = options->alias, .prefetch_depth = config->prefetch_depth, .hbm_budget = config->hbm_budget,
        .host_budget = config->host_budget, .nvme_budget = config->nvme_budget, .base_placement = tier_wish(config->base_placement),
        .pinned_hbm = config->pinned_layers_hbm, .pinned_host = config->pinned_layers_host, .policy = policy_wish(config->activation_policy),
        .boundary = tier_wish(config->boundary_placement), .sweep_micro_batches = config->sweep_micro_batches,
        .checkpoints_kept = config->save_total_limit, .process_host_bytes = options->plan_only ? 0 : process_bytes(session)};
    if (request.sequence_len > session->shape.max_positions && session->shape.max_positions > 0)
        ft_warn("sequence_len %lld is longer than the model was trained for (max_position_embeddings %lld)", (long long)request.sequence_len,
                (long long)session->shape.max_positions);
    return ft_plan_make(&session->plan, &request);
}

// What ft_generate takes for itself at most.
static int64_t generation_bytes(const ft_session *session, const ft_config *config, const ft_session_options *options)
{
    ft_repr repr = session->machine.device == FT_DEVICE_CPU ? FT_REPR_F32 : FT_REPR_BF16;
    return ft_generate_cache_bytes(&session->shape, sequence_len(config, options), repr) + session->shape.vocab * (int64_t)sizeof(float);
}

// Random weights without drives stand in memory alone.
static ft_status check_random(const ft_session *session)
{
    if (!ft_store_is_random(session->store)) return FT_OK;
    for (int i = 0; i < session->plan.layout.n_records; i++)
        if (session->plan.home[i] == FT_TIER_NVME)
            return ft_error(FT_E_INPUT, "random weights must fit into device and host memory, and these do not: use fewer layers, --base-format fp8 or --nvme DIR");
    return FT_OK;
}

// The adapter a directory holds, or the config's.
static ft_status open_adapter(ft_session *session, const ft_config *config, const ft_session_options *options)
{
    int64_t r = config->lora_r;
    double alpha = config->lora_alpha, dropout = config->lora_dropout;
    bool rslora = config->peft_use_rslora;
    unsigned targets = 0;
    if (options->adapter_dir) FT_TRY(ft_adapter_read_config(options->adapter_dir, &r, &alpha, &dropout, &rslora, &targets));
    else if (options->train || options->plan_only) FT_TRY(ft_config_targets(config, &targets));
    else return FT_OK;
    return ft_adapter_layout_make(&session->adapter, &session->shape, r, alpha, dropout, rslora, targets);
}

static ft_status open_all(ft_session *session, const ft_config *config, const ft_session_options *options)
{
    if (!options->plan_only && !options->random_weights) FT_TRY(ft_session_check(config));
    FT_TRY(ft_threads_init((int)config->threads));
    FT_TRY(read_shape(&session->shape, config));
    FT_TRY(ft_shape_check_length(&session->shape, sequence_len(config, options)));
    FT_TRY(open_adapter(session, config, options));
    // Before the store is made, which may take long.
    if (!options->plan_only && strcmp(config->device, "cuda") != 0) FT_TRY(ft_cpu_compute_check(config->cpu_compute));
    if (!options->plan_only) FT_TRY(ft_session_open_device(session, config, options));
    if (options->random_weights) FT_TRY(open_random(session, config, options));
    else if (options->plan_only) FT_TRY(ft_layout_expect(&session->layout, &session->shape, ft_config_base_format(config), config->base_model));
    else FT_TRY(open_store(session, config, options));
    FT_TRY(ft_session_find_machine(session, config, options));
    if (options->generates) session->machine.hbm_bytes -= generation_bytes(session, config, options);
    FT_TRY(make_plan(session, config, options));
    return options->random_weights ? check_random(session) : FT_OK;
}

ft_status ft_session_open(ft_session *session, ft_settings *settings, const ft_session_options *options)
{
    *session = (ft_session){0};
    ft_status status = open_all(session, &settings->values, options);
    if (status != FT_OK) ft_session_close(session);
    return status;
}

void ft_session_close(ft_session *session)
{
    ft_plan_free(&session->plan);
    ft_adapter_layout_free(&session->adapter);
    if (session->store) ft_store_close(session->store);
    else ft_layout_free(&session->layout);
    if (session->device) ft_device_close(session->device);
    *session = (ft_session){0};
}

static ft_status load_adapter(ft_session *session, const ft_settings *settings, const ft_session_options *options, ft_model *model)
{
    float *host = ft_model_snapshot(model, 0);
    const char *directory = options->adapter_dir ? options->adapter_dir : settings->values.lora_model_dir;
    if (directory) FT_TRY(ft_adapter_load(directory, &session->adapter, &session->shape, host));
    else ft_adapter_init(&session->adapter, host, (uint64_t)settings->values.seed);
    FT_TRY(ft_copy_h2d(ft_model_queue(model), ft_model_adapter(model).parameters, host, session->adapter.n_floats * 4));
    return ft_queue_sync(ft_model_queue(model));
}

ft_status ft_session_model(ft_session *session, const ft_settings *settings, const ft_session_options *options, ft_model **out)
{
    bool adapted = session->adapter.n_tensors > 0;
    ft_model_options model_options = {.plan = &session->plan, .store = session->store, .device = session->device,
                                      .adapter = adapted ? &session->adapter : NULL, .train = options->train,
                                      .seed = (uint64_t)settings->values.seed, .deterministic = settings->values.deterministic,
                                      .trace = settings->values.trace, .verify_stripes = settings->values.verify_stripes,
                                      .gemm_table = session->gemm_table[0] ? session->gemm_table : NULL, .ops = options->ops};
    ft_model *model;
    FT_TRY(ft_model_open(&model, &model_options));
    ft_status status = adapted ? load_adapter(session, settings, options, model) : FT_OK;
    if (status != FT_OK) {
        ft_model_close(model);
        return status;
    }
    if (session->machine.device == FT_DEVICE_CUDA) ft_info("%s", ft_model_ops(model)->describe(ft_model_queue(model)));
    *out = model;
    return FT_OK;
}
