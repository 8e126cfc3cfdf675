// Where a byte lives never changes a result on the GPU either (`deterministic: true`): adapters and losses after a few steps are
// the same bits with everything resident, with compute forms made once or at every visit, with weights and layer inputs in host
// memory or on drives, kept or made again, one or several micro-batches a sweep, twice over, and after a stop and a start. In bf16
// and in FP8, with the MLP in one and in tiles. Every variant is a process of its own and has a line of its own.
#include "gpu/golden_run.h"
#include "train/small_run.h"

#define STEPS 3
#define RATE 1e-2
#define LAYERS 4
#define MOST_FLOATS (1 << 20)
#define SEQUENCE "48"
#define BATCHES 4
// Micro-batches that the MLP goes through in two tiles, of 128 tokens and of 72.
#define TILED_SEQUENCE "200"
#define TILED_BATCHES 2

typedef struct {
    bool valid;
    double losses[STEPS];
    int64_t n;
    float parameters[MOST_FLOATS];
    // of the plan
    int64_t hbm_bytes, form_bytes, embedding_bytes, resident_forms;
    int64_t mlp_rows;
    bool keeps_inputs, tiled;
} outcome;

typedef struct {
    const char *name, *compute;
    const char *const *pairs;
    int64_t stop_at;           // the run is closed and opened again before this step; 0 = not
    int64_t forms;             // resident ones the plan must have come to on the GPU; -1 = any
    bool loose;                // other bits are allowed: losses near
    bool longer;               // documents of TILED_SEQUENCE
    outcome *expected;         // shared memory: the first variant that gets to its end fills it
    outcome *record;           // shared memory that gets this variant's own outcome, or NULL
} variant;

static small_model model, longer;  // longer: the same model with other data

static void make_model(void)
{
    small_model_make(&model, 1, 9, 30);
    ft_test_model description = {.hidden = 256, .ffn = 384, .layers = LAYERS, .q_heads = 4, .kv_heads = 2, .head_dim = 64, .vocab = 320,
                                 .dtype = FT_DTYPE_BF16, .seed = 11};
    run_ok(ft_test_model_write(&description, model.model));
    longer = model;
    snprintf(longer.data, sizeof longer.data, "%s/longer.jsonl", model.directory);
    small_write_data(longer.data, 11, 90, 320);
}

static void open_run(run_fixture *f, const variant *v)
{
    small_configure(f, v->longer ? &longer : &model, v->pairs);
    run_set(f, "device", golden_device());
    run_set(f, "compute", v->compute);
    run_set(f, "deterministic", v->loose ? "false" : "true");
    run_set(f, "sequence_len", v->longer ? TILED_SEQUENCE : SEQUENCE);
    run_set(f, "lora_r", "8");
    run_set(f, "lora_dropout", "0.1");
    run_open(f, true, NULL);
    assert_int_equal(f->n_batches, v->longer ? TILED_BATCHES : BATCHES);
    small_randomize_adapter(f);
}

static void copy_state(run_fixture *f, float *host[3], bool out)
{
    ft_adapter_state s = ft_model_adapter(f->model);
    float *device[3] = {s.parameters, s.moment1, s.moment2};
    for (int i = 0; i < 3; i++) {
        if (out) {
            host[i] = malloc((size_t)s.n * sizeof(float));
            run_read(f, host[i], device[i], s.n);
        } else {
            run_write(f, device[i], host[i], s.n);
            free(host[i]);
        }
    }
}

// Closes the run and opens it again with what a checkpoint keeps.
static void reopen(run_fixture *f, const variant *v)
{
    float *state[3];
    copy_state(f, state, true);
    run_close(f);
    open_run(f, v);
    copy_state(f, state, false);
}

static void run_variant(const variant *v, outcome *o)
{
    run_fixture f;
    open_run(&f, v);
    o->n = ft_model_adapter(f.model).n;
    assert_in_range(o->n, 1, MOST_FLOATS);
    o->hbm_bytes = f.session.plan.tier_bytes[FT_TIER_HBM];
    o->form_bytes = f.session.plan.form_bytes;
    o->embedding_bytes = f.session.plan.line[FT_LINE_EMBED_DEVICE];
    o->resident_forms = f.session.plan.resident_forms;
    o->keeps_inputs = f.session.plan.activation.keeps_inputs;
    o->tiled = f.session.plan.activation.tiled;
    o->mlp_rows = f.session.plan.activation.mlp_rows;
    run_steps(&f, v->stop_at > 0 ? v->stop_at : STEPS, RATE, o->losses);
    if (v->stop_at > 0) {
        reopen(&f, v);
        run_steps_from(&f, v->stop_at, STEPS - v->stop_at, RATE, o->losses + v->stop_at);
    }
    run_read(&f, o->parameters, ft_model_adapter(f.model).parameters, o->n);
    o->valid = true;
    run_close(&f);
}

static void print_line(const variant *v, const outcome *o, const char *verdict)
{
    printf("%-5s %-52s %lld of %d forms resident, inputs %s, MLP in %s of %lld, %.2f MB; loss %.6f -> %.6f: %s\n", v->compute, v->name, (long long)o->resident_forms,
           LAYERS, o->keeps_inputs ? "kept" : "not kept", o->tiled ? "tiles" : "one", (long long)o->mlp_rows, (double)o->hbm_bytes / 1e6, o->losses[0], o->losses[STEPS - 1], verdict);
}

// How many parameters differ, and where the first.
static int64_t count_differences(const outcome *o, const outcome *expected, int64_t *first)
{
    int64_t n = 0;
    for (int64_t i = o->n - 1; i >= 0; i--) {
        if (memcmp(&o->parameters[i], &expected->parameters[i], sizeof(float)) == 0) continue;
        n++;
        *first = i;
    }
    return n;
}

static void compare(const variant *v, const outcome *o)
{
    const outcome *e = v->expected;
    int64_t first = 0, wrong = count_differences(o, e, &first);
    assert_int_equal(o->n, e->n);
    bool same_losses = memcmp(o->losses, e->losses, sizeof o->losses) == 0;
    print_line(v, o, wrong == 0 && same_losses ? "same bits" : v->loose ? "other bits" : "OTHER BITS");
    for (int i = 0; i < STEPS && !same_losses; i++)
        printf("      loss of step %d: %.17g, resident %.17g\n", i, o->losses[i], e->losses[i]);
    if (wrong > 0)
        printf("      %lld of %lld parameters differ, the first at [%lld]: %.9g, resident %.9g\n", (long long)wrong, (long long)o->n, (long long)first,
               (double)o->parameters[first], (double)e->parameters[first]);
    for (int i = 0; i < STEPS; i++) assert_true(fabs(o->losses[i] / e->losses[i] - 1) < 1e-3);
    if (!v->loose) assert_true(wrong == 0 && same_losses);
}

static void gives_the_same_bits(void **state)
{
    const variant *v = *state;
    outcome *o = calloc(1, sizeof *o);
    run_variant(v, o);
    if (v->expected->valid) compare(v, o);
    else print_line(v, o, "the reference");
    if (!v->expected->valid) *v->expected = *o;
    if (v->record) *v->record = *o;
    bool forms_as_planned = v->forms < 0 || o->resident_forms == v->forms || !golden_on_gpu(), learned = o->losses[STEPS - 1] < o->losses[0];
    free(o);
    assert_true(forms_as_planned);
    assert_true(learned);
}

static int run_in_child(const void *context)
{
    variant v = *(const variant *)context;
    return golden_test(v.name, gives_the_same_bits, &v) != 0;
}

static int failures, runs;

static void check(const variant *v)
{
    int code = golden_in_child(run_in_child, v);
    runs++;
    if (code == 0) return;
    failures++;
    printf("%-5s %-52s FAILED (%s %d)\n", v->compute, v->name, code > 128 ? "signal" : "exit", code > 128 ? code - 128 : code);
}

// A file of a run's output, heap.
static char *read_output(const char *run, const char *file, size_t *bytes)
{
    char path[256], *data;
    snprintf(path, sizeof path, "%s/%s/%s", model.directory, run, file);
    run_ok(ft_file_read(path, 1 << 26, &data, bytes));
    return data;
}

// A run of `train` into model.directory/NAME, from its checkpoint after two steps if `resumed`.
static void train(const char *name, const char *compute, bool resumed, const char *const *pairs)
{
    static volatile int stop;
    ft_settings settings;
    ft_train_result result;
    char output[160], nvme[160], middle[192];
    snprintf(output, sizeof output, "%s/%s", model.directory, name);
    snprintf(nvme, sizeof nvme, "%s/nvme", model.directory);
    snprintf(middle, sizeof middle, "%s/checkpoint-2", output);
    run_ok(ft_settings_init(&settings));
    const char *const base[] = {"base_model", model.model, "datasets", model.data, "nvme", nvme, "output_dir", output, "device", golden_device(),
                                "compute", compute, "deterministic", "true", "lora_r", "8", "lora_dropout", "0.1", "sequence_len", SEQUENCE,
                                "micro_batch_size", "1", "gradient_accumulation_steps", "2", "save_minutes", "0", "save_steps", "2",
                                "save_total_limit", "100", "max_steps", "5", "val_set_size", "0.2", "eval_steps", "2", NULL};
    for (int i = 0; base[i]; i += 2) run_ok(ft_settings_set(&settings, base[i], base[i + 1], "test"));
    for (int i = 0; pairs && pairs[i]; i += 2) run_ok(ft_settings_set(&settings, pairs[i], pairs[i + 1], "test"));
    settings.values.datasets.items[0].type = ft_strdup("tokens");
    ft_train_options options = {.settings = &settings, .resume_from = resumed ? middle : NULL, .stop = &stop};
    run_ok(ft_train(&options, &result));
    printf("%-5s run of %lld steps%s: loss %.6f, evaluation %.6f -> %.6f\n", compute, (long long)result.steps, resumed ? ", the last three again" : "",
           result.train_loss, result.first_eval_loss, result.last_eval_loss);
    assert_true(isfinite(result.train_loss) && isfinite(result.last_eval_loss));
    ft_train_result_free(&result);
    ft_settings_free(&settings);
}

// `train` with its checkpoints: a run, and a copy of it that goes on from the middle with layers on a drive.
static void resumes_to_the_same_bits(void **state)
{
    const char *compute = *state;
    char command[512], name[32];
    size_t n, n_again;
    train(compute, compute, false, NULL);
    snprintf(command, sizeof command, "cp -a %s/%s %s/%s-again", model.directory, compute, model.directory, compute);
    assert_int_equal(system(command), 0);
    snprintf(name, sizeof name, "%s-again", compute);
    train(name, compute, true, (const char *const[]){"base_placement", "nvme", "activation_policy", "recompute", NULL});
    char *whole = read_output(compute, "adapter/adapter_model.safetensors", &n), *again = read_output(name, "adapter/adapter_model.safetensors", &n_again);
    assert_int_equal(n, n_again);
    assert_memory_equal(whole, again, n);
    ft_free(whole);
    ft_free(again);
}

// `train` prints plans to standard error: they are shown only where it fails.
static void errors_path(char path[160])
{
    snprintf(path, 160, "%s/errors", model.directory);
}

static int resume_in_child(const void *context)
{
    char path[160];
    errors_path(path);
    if (freopen(path, "w", stderr) == NULL) return 1;
    return golden_test("train and resume", resumes_to_the_same_bits, (void *)(uintptr_t)context) != 0;
}

static void check_resume(const char *compute)
{
    char path[160], *text;
    size_t bytes;
    int code = golden_in_child(resume_in_child, compute);
    runs++;
    printf("%-5s train, and resumed after two of five steps on a drive: %s\n", compute, code == 0 ? "same bits" : "FAILED");
    if (code == 0) return;
    failures++;
    errors_path(path);
    if (ft_file_read(path, 1 << 20, &text, &bytes) != FT_OK) return;
    printf("%s\n", text + (bytes > 3000 ? bytes - 3000 : 0));
    ft_free(text);
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define RESIDENT "pinned_layers_hbm", "4", "boundary_placement", "hbm", "sweep_micro_batches", "4", "activation_policy", "keep"
#define RECOMPUTED "pinned_layers_hbm", "4", "boundary_placement", "hbm", "sweep_micro_batches", "4", "activation_policy", "recompute"

// `bytes` less than what `whole`, with all forms resident, takes.
static void check_budget(const variant *v, const char *const *pairs, const outcome *whole, int64_t bytes)
{
    const char *with[16];
    char budget[32];
    int n = 0;
    snprintf(budget, sizeof budget, "%lld", (long long)(whole->hbm_bytes - bytes));
    for (; pairs[n]; n++) with[n] = pairs[n];
    with[n] = "hbm_budget";
    with[n + 1] = budget;
    with[n + 2] = NULL;
    variant own = *v;
    own.pairs = with;
    check(&own);
}

// Less and less room on the device: forms are made again at every visit, then embedding rows come from host memory. Layers that do
// not share a form have one each: n resident ones take n + 1. Without the room for the inputs of products these are made again.
static void check_budgets(const char *compute, outcome *expected)
{
    const char *const *resident = PAIRS(RESIDENT), *const *recomputed = PAIRS(RECOMPUTED);
    outcome *again = golden_shared(sizeof *again);
    check(&(variant){.name = "resident, recomputed", .compute = compute, .pairs = recomputed, .forms = -1, .expected = expected, .record = again});
    if (!again->valid || again->resident_forms < LAYERS) return;  // the CPU device makes them at every visit
    variant v = {.compute = compute, .expected = expected};
    v.name = "two forms resident, two made at every visit, recomputed";
    v.forms = 2;
    check_budget(&v, recomputed, again, again->form_bytes);
    v.name = "all forms made at every visit, recomputed";
    v.forms = 0;
    check_budget(&v, recomputed, again, 3 * again->form_bytes);
    v.name = "the same with embedding rows from host memory";
    check_budget(&v, recomputed, again, 3 * again->form_bytes + 4096);
    v.forms = -1;
    v.name = "kept, a byte less than everything takes";
    check_budget(&v, resident, expected, 1);
    v.name = "kept but for the inputs of products";
    check_budget(&v, resident, expected, 3 * expected->form_bytes + expected->embedding_bytes + 8192);
}

static void check_compute(const char *compute)
{
    static const struct {
        const char *name;
        const char *pairs[14];
    } variants[] = {
        {"the same again", {RESIDENT}},
        {"base_placement hbm", {"base_placement", "hbm"}},
        {"resident, one micro-batch a sweep", {"pinned_layers_hbm", "4", "sweep_micro_batches", "1"}},
        {"resident, three micro-batches a sweep, recomputed",
         {"pinned_layers_hbm", "4", "sweep_micro_batches", "3", "activation_policy", "recompute"}},
        {"layers in host memory", {"base_placement", "host", "sweep_micro_batches", "4"}},
        {"layers in host memory, one ahead", {"base_placement", "host", "prefetch_depth", "1", "activation_policy", "recompute"}},
        {"layers in host memory, four ahead", {"base_placement", "host", "prefetch_depth", "4", "sweep_micro_batches", "2"}},
        {"layers on a drive", {"base_placement", "nvme", "sweep_micro_batches", "4"}},
        {"layers on a drive, one ahead, a batch a sweep", {"base_placement", "nvme", "prefetch_depth", "1", "sweep_micro_batches", "1"}},
        {"layers on three drives, posix", {"base_placement", "nvme", "drives", "3", "io_engine", "posix"}},
        {"one layer resident, one in host memory, two on a drive",
         {"base_placement", "nvme", "pinned_layers_hbm", "1", "pinned_layers_host", "1", "sweep_micro_batches", "2"}},
        {"inputs in host memory", {"pinned_layers_hbm", "4", "boundary_placement", "host", "activation_policy", "recompute"}},
        {"layers and inputs in host memory, kept", {"base_placement", "host", "boundary_placement", "host", "activation_policy", "keep"}},
        {"layers and inputs on a drive",
         {"base_placement", "nvme", "boundary_placement", "nvme", "activation_policy", "recompute", "sweep_micro_batches", "2"}},
    };
    outcome *expected = golden_shared(sizeof *expected);
    variant v = {.name = "everything resident", .compute = compute, .pairs = PAIRS(RESIDENT), .forms = LAYERS, .expected = expected};
    check(&v);
    check_budgets(compute, expected);
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        check(&(variant){.name = variants[i].name, .compute = compute, .pairs = variants[i].pairs, .forms = -1, .expected = expected});
    check(&(variant){.name = "stopped and opened again after one step", .compute = compute, .pairs = PAIRS(RESIDENT), .stop_at = 1, .forms = -1,
                     .expected = expected});
    check(&(variant){.name = "the same with layers on a drive, after two", .compute = compute, .pairs = PAIRS("base_placement", "nvme"), .stop_at = 2,
                     .forms = -1, .expected = expected});
    check(&(variant){.name = "cuDNN's attention", .compute = compute, .pairs = PAIRS(RESIDENT), .forms = -1, .loose = true, .expected = expected});
}

// The MLP in tiles: its own reference, and near the run without them.
static void check_tiles(const char *compute)
{
    static const struct {
        const char *name;
        const char *pairs[14];
        bool loose;
    } variants[] = {
        {"the same again, in tiles", {RESIDENT, "mlp_chunk", "128"}, false},
        {"tiles, recomputed", {RECOMPUTED, "mlp_chunk", "128"}, false},
        {"tiles, layers and inputs in host memory", {"base_placement", "host", "boundary_placement", "host", "mlp_chunk", "128"}, false},
        {"tiles, layers and inputs on a drive",
         {"base_placement", "nvme", "boundary_placement", "nvme", "activation_policy", "recompute", "sweep_micro_batches", "2", "mlp_chunk", "128"},
         false},
        {"all tokens at once", {RESIDENT, "mlp_chunk", "200"}, true},
    };
    outcome *expected = golden_shared(sizeof *expected);
    check(&(variant){.name = "everything resident, in tiles", .compute = compute, .pairs = PAIRS(RESIDENT, "mlp_chunk", "128"), .forms = -1,
                     .longer = true, .expected = expected});
    bool cut = expected->valid && expected->tiled && expected->mlp_rows == 128;
    printf("%-5s MLP in tiles of %lld: %s\n", compute, (long long)expected->mlp_rows, cut ? "as asked for" : "NOT AS ASKED FOR");
    failures += !cut;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        check(&(variant){.name = variants[i].name, .compute = compute, .pairs = variants[i].pairs, .forms = -1, .longer = true,
                         .loose = variants[i].loose, .expected = expected});
}

static int make_and_check(const void *context)
{
    make_model();
    for (int i = 0; i < 2; i++) {
        const char *compute = i == 0 ? "bf16" : "fp8";
        check_compute(compute);
        check_tiles(compute);
        check_resume(compute);
    }
    small_model_remove(&model);
    printf("%d runs, %d failed\n", runs, failures);
    return failures > 0;
}

static void all_variants(void **state)
{
    assert_int_equal(make_and_check(NULL), 0);
}

int main(void)
{
    int none = golden_on_gpu() ? golden_in_child(golden_probe, NULL) : 0;
    return none != 0 ? none : golden_test("placement", all_variants, NULL);
}
