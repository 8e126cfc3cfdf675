// ft-bench: probes of links, paths, ops and geometries. Each is a verb with its own flags; those over a whole step take the
// config keys of `train` as well.
#include <string.h>

#include "bench/probes.h"
#include "cli/program.h"
#include "cli/verbs.h"
#include "common/threads.h"

#define JSON {"json", FT_FLAG_SWITCH, NULL, "print results as JSON objects", 0, 0}
#define REPEAT {"repeat", FT_FLAG_INT, "N", "measurements of each figure; the median is printed (default 5)", 1, 31}
#define THREADS {"threads", FT_FLAG_INT, "N", "CPU threads (default: all this process may use)", 1, 4096}
#define DEVICE {"device", FT_FLAG_TEXT, "NAME", "auto, cuda or cpu (default auto)", 0, 0}
#define KNOWN_GEOMETRY(otherwise) \
    {"geometry", FT_FLAG_TEXT, "NAME", "geometry of a known model, for instance llama3-8b " otherwise, 0, 0}
#define HEADS \
    {"heads", FT_FLAG_INT, "N", "query heads (default 16)", 1, 1024}, {"kv-heads", FT_FLAG_INT, "N", "key-value heads (default 4)", 1, 1024}
#define LAYERS {"layers", FT_FLAG_INT, "N", "default 8, or the geometry's", 1, 10000}
#define WIDTHS                                                                                                      \
    KNOWN_GEOMETRY("(else the numbers that follow)"), {"hidden", FT_FLAG_INT, "N", "default 2048", 4, 1 << 20},     \
        {"ffn", FT_FLAG_INT, "N", "default 5632", 1, 1 << 24}, HEADS, {"vocab", FT_FLAG_INT, "N", "default 2048", 1, 1 << 24}
#define SHAPE WIDTHS, LAYERS
#define CANDIDATES {"candidates", FT_FLAG_INT, "N", "algorithms tried for each product (default 12)", 1, 32}
#define SEED {"seed", FT_FLAG_INT, "N", "of random weights and data", 0, 0}

#define DRIVES                                                                                                                    \
    {"nvme", FT_FLAG_TEXT, "DIR[,DIR...]", "drive directories", 0, 0},                                                            \
        {"engine", FT_FLAG_TEXT, "NAME", "storage engine: auto, io_uring, posix", 0, 0},                                          \
        {"bytes", FT_FLAG_BYTES, "SIZE", "bytes read from each drive (default 2G; more than its caches hold)", 64 << 20, 0},      \
        {"depth", FT_FLAG_INT, "N", "transfers in flight on each drive (default 32)", 1, 1024},                                   \
        {"chunk", FT_FLAG_BYTES, "SIZE", "size of a transfer (default 1M)", 4096, 64 << 20}

static const ft_flag io_flags[] = {JSON, REPEAT, THREADS, DRIVES, SEED, {NULL}};
static const ft_flag offload_flags[] = {
    JSON, REPEAT, THREADS, DEVICE, DRIVES,
    {"tune", FT_FLAG_SWITCH, NULL, "try sizes and depths of transfers, use the best, and keep them for the runs of this user", 0, 0},
    SHAPE, SEED, {NULL}};
static const ft_flag model_flags[] = {JSON, {"output", FT_FLAG_TEXT, "DIR", "directory of the checkpoint to write", 0, 0}, SHAPE, SEED, THREADS, {NULL}};
static const ft_flag step_flags[] = {
    JSON, {"steps", FT_FLAG_INT, "N", "steps measured after warm-up; the median is printed (default 5)", 1, 31},
    {"warm-up", FT_FLAG_INT, "N", "steps before those (default 3, on the CPU 1)", 0, 1000},
    {"links", FT_FLAG_SWITCH, NULL, "the step's use of the link, beside independent copies that run with its products", 0, 0},
    {"no-profile", FT_FLAG_SWITCH, NULL, "without the step that times each op and without the limit made of its parts", 0, 0},
    {"tier", FT_FLAG_TEXT, "hbm|host|nvme|plan", "where the layers live; plan: where the plan puts them", 0, 0},
    {"alias", FT_FLAG_INT, "N", "this many real layers in host memory (8 at least) stand for all of them", 1, 10000},
    {"keep-store", FT_FLAG_SWITCH, NULL, "the store of random weights on --nvme stays, for the next run of this geometry and seed", 0, 0},
    {"curve", FT_FLAG_TEXT, "T1[,T2...]", "tokens a sweep: layers from host memory beside layers on the device, at each of them", 0, 0},
    SHAPE, {NULL}};
static const ft_flag gemm_flags[] = {
    JSON, CANDIDATES, KNOWN_GEOMETRY("(default)"), {"shape", FT_FLAG_TEXT, "MxNxK", "one product instead: rows x out features x in features", 0, 0},
    {"tokens", FT_FLAG_INT, "N", "rows of a layer's products (default 8192)", 1, 1 << 24}, {NULL}};
static const ft_flag calibrate_flags[] = {
    JSON, CANDIDATES, {"output", FT_FLAG_TEXT, "FILE", "table of algorithms to write (default: where runs look for it)", 0, 0},
    {"bytes", FT_FLAG_BYTES, "SIZE", "written to each drive and read back, then removed (default 1G)", 4 << 20, 0}, WIDTHS, {NULL}};
static const ft_flag attention_flags[] = {
    JSON, REPEAT, THREADS, DEVICE, KNOWN_GEOMETRY("(else the three numbers)"), HEADS,
    {"head-dim", FT_FLAG_INT, "N", "default 128", 8, 256},
    {"sequence-len", FT_FLAG_INT, "TOKENS", "slots of a row, and the longest document (default 4096)", 1, 1 << 20},
    {"micro-batch-size", FT_FLAG_INT, "N", "rows (default 1)", 1, 65536},
    {"packed", FT_FLAG_SWITCH, NULL, "documents of uneven lengths fill the rows, instead of one each", 0, 0}, {NULL}};
static const ft_flag op_flags[] = {
    JSON, REPEAT, THREADS, DEVICE, KNOWN_GEOMETRY("(default)"),
    {"bytes", FT_FLAG_BYTES, "SIZE", "traffic of one call (default 512M, on the CPU 32M)", 1 << 20, 0}, {NULL}};

typedef ft_status (*probe)(const ft_bench_options *options, ft_bench_report *report);

// Flags that a verb does not have count as not given.
static bool given(const ft_invocation *in, const char *flag)
{
    for (const ft_flag *f = in->verb->flags; f && f->name; f++)
        if (strcmp(f->name, flag) == 0) return ft_args_given(in, flag);
    return false;
}

static const char *text_or(const ft_invocation *in, const char *flag, const char *otherwise)
{
    return given(in, flag) ? ft_args_text(in, flag) : otherwise;
}

static int64_t int_or(const ft_invocation *in, const char *flag, int64_t otherwise)
{
    return given(in, flag) ? ft_args_int(in, flag, otherwise) : otherwise;
}

// `geometry` and `bytes` have defaults that differ from verb to verb.
static ft_bench_options options_of(ft_invocation *in, const ft_bench_options *defaults)
{
    return (ft_bench_options){
        .engine = text_or(in, "engine", "auto"), .bytes = int_or(in, "bytes", defaults->bytes), .depth = (int)int_or(in, "depth", 32),
        .chunk = int_or(in, "chunk", 1 << 20), .repeat = (int)int_or(in, "repeat", int_or(in, "steps", 5)), .output = text_or(in, "output", NULL),
        .geometry = text_or(in, "geometry", defaults->geometry), .hidden = int_or(in, "hidden", 2048), .ffn = int_or(in, "ffn", 5632),
        .layers = int_or(in, "layers", 0), .heads = int_or(in, "heads", 16), .kv_heads = int_or(in, "kv-heads", 4),
        .vocab = int_or(in, "vocab", 2048), .seed = in->verb->takes_config ? (uint64_t)in->settings.values.seed : (uint64_t)int_or(in, "seed", 1),
        .device = text_or(in, "device", "auto"), .head_dim = int_or(in, "head-dim", 128), .sequence_len = int_or(in, "sequence-len", 4096),
        .micro_batch_size = int_or(in, "micro-batch-size", 1), .packed = given(in, "packed"), .tune = given(in, "tune"), .product = text_or(in, "shape", NULL),
        .tokens = int_or(in, "tokens", 8192), .candidates = (int)int_or(in, "candidates", 12), .tier = text_or(in, "tier", NULL),
        .alias = int_or(in, "alias", 0), .warm_up = (int)int_or(in, "warm-up", -1), .links = given(in, "links"), .no_profile = given(in, "no-profile"),
        .keep_store = given(in, "keep-store"), .curve = text_or(in, "curve", NULL), .settings = &in->settings};
}

// A model's numbers come from one place; a product has its own.
static ft_status check_flags(const ft_invocation *in)
{
    static const char *const numbers[] = {"hidden", "ffn", "heads", "kv-heads", "head-dim", "vocab"}, *const products[] = {"geometry", "tokens"};
    bool model = in->verb->takes_config && in->settings.values.base_model;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (given(in, numbers[i]) && (model || given(in, "geometry")))
            return ft_error(FT_E_USAGE, "--%s and %s: give one", numbers[i], model ? "base_model" : "--geometry");
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        if (given(in, "shape") && given(in, products[i])) return ft_error(FT_E_USAGE, "--%s and --shape: give one", products[i]);
    return FT_OK;
}

static ft_status run_probe(ft_invocation *in, probe run, const ft_bench_options *defaults)
{
    ft_string_list nvme = {0};
    ft_bench_report report;
    ft_bench_options options = options_of(in, defaults);
    FT_TRY(check_flags(in));
    FT_TRY(ft_threads_init((int)(in->verb->takes_config ? in->settings.values.threads : int_or(in, "threads", 0))));
    if (given(in, "nvme")) FT_TRY(ft_string_list_split(&nvme, ft_args_text(in, "nvme")));
    options.nvme = (const char *const *)nvme.items;
    options.n_nvme = nvme.n;
    ft_status status = ft_bench_report_begin(&report, ft_args_given(in, "json"), in->verb->name, in->argc, in->argv);
    if (status == FT_OK) {
        status = run(&options, &report);
        ft_bench_report_end(&report);
    }
    ft_string_list_free(&nvme);
    return status;
}

static const ft_bench_options drives = {.bytes = (int64_t)2 << 30}, nothing = {0}, known = {.geometry = "llama3-8b"};

static ft_status run_io(ft_invocation *in) { return run_probe(in, ft_bench_io, &drives); }
static ft_status run_offload(ft_invocation *in) { return run_probe(in, ft_bench_offload, &drives); }
static ft_status run_model(ft_invocation *in) { return run_probe(in, ft_bench_model, &nothing); }
static ft_status run_step(ft_invocation *in) { return run_probe(in, ft_bench_step, &nothing); }
static ft_status run_gemm(ft_invocation *in) { return run_probe(in, ft_bench_gemm, &known); }
static ft_status run_calibrate(ft_invocation *in) { return run_probe(in, ft_bench_calibrate, &nothing); }
static ft_status run_attention(ft_invocation *in) { return run_probe(in, ft_bench_attention, &nothing); }
static ft_status run_ops(ft_invocation *in) { return run_probe(in, ft_bench_ops, &known); }
static ft_status run_table(ft_invocation *in) { return ft_bench_table((const char *const *)in->positional.items, in->positional.n); }

static const ft_verb io = {"io", NULL, "--nvme DIR[,DIR...] [--json]", "NVMe to host memory, beside fio", io_flags, false, run_io, 0};
static const ft_verb offload = {"offload", NULL, "--nvme DIR[,DIR...] [--device auto|cuda|cpu] [--tune] [--json]", "every link and the whole streamed path, beside their limits", offload_flags, false, run_offload, 0};
static const ft_verb model = {"model", NULL, "--output DIR [--hidden N --layers N ...]", "write a random-weight checkpoint of any geometry", model_flags, false, run_model, 0};
static const ft_verb step = {"step", NULL, "[CONFIG.yaml] --geometry NAME [--layers N] [--tier hbm|host|nvme|plan] [--KEY VALUE ...] [--json]", "optimizer steps of LoRA on random weights, from wherever they live, beside their limit and the plan, op by op", step_flags, true, run_step, 0};
static const ft_verb gemm = {"gemm", NULL, "[--geometry NAME | --shape MxNxK] [--tokens N] [--compute bf16|fp8] [--json]", "products of a geometry on a GPU: first algorithm and best", gemm_flags, true, run_gemm, 0};
static const ft_verb calibrate = {"calibrate", NULL, "[CONFIG.yaml] --geometry NAME | --model DIR [--nvme DIR[,DIR...]] [--KEY VALUE ...] [--json]", "measure what plans are made with, and on a GPU the best algorithms of a run's products; both are kept", calibrate_flags, true, run_calibrate, 0};
static const ft_verb attention = {"attention", NULL, "[--geometry NAME] [--sequence-len N] [--packed] [--json]", "attention forward and backward", attention_flags, false, run_attention, 0};
static const ft_verb ops = {"ops", NULL, "[--geometry NAME] [--bytes SIZE] [--json]", "ops that memory bounds, beside a copy", op_flags, false, run_ops, 0};
static const ft_verb table = {"table", NULL, "RESULT.json ...", "print result files as the tables of BENCHMARKS.md", NULL, false, run_table, 64};
static const ft_verb *const verbs[] = {&io, &offload, &step, &gemm, &attention, &ops, &calibrate, &model, &table, &ft_verb_completion, NULL};

int main(int argc, char **argv)
{
    return ft_program_main("ft-bench", verbs, argc, argv);
}
