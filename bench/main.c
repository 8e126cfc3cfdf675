// ft-bench: probes of links, paths and geometries. Each is a verb; all share one table of flags.
#include "bench/probes.h"
#include "cli/program.h"
#include "common/threads.h"

static const ft_flag flags[] = {
    {"json", FT_FLAG_SWITCH, NULL, "print results as JSON objects", 0, 0},
    {"nvme", FT_FLAG_TEXT, "DIR[,DIR...]", "drive directories (io, offload)", 0, 0},
    {"engine", FT_FLAG_TEXT, "NAME", "storage engine: auto, io_uring, posix", 0, 0},
    {"bytes", FT_FLAG_BYTES, "SIZE", "bytes read from each drive (default 2G)", 64 << 20, 0},
    {"depth", FT_FLAG_INT, "N", "transfers in flight on each drive (default 32)", 1, 1024},
    {"chunk", FT_FLAG_BYTES, "SIZE", "size of a transfer (default 1M)", 4096, 64 << 20},
    {"repeat", FT_FLAG_INT, "N", "measurements of each figure; the median is printed (default 5)", 1, 31},
    {"output", FT_FLAG_TEXT, "DIR", "directory of the checkpoint to write (model)", 0, 0},
    {"hidden", FT_FLAG_INT, "N", "geometry of a random model (default 2048)", 4, 1 << 20},
    {"ffn", FT_FLAG_INT, "N", "default 5632", 1, 1 << 24},
    {"geometry", FT_FLAG_TEXT, "NAME", "geometry of a known model instead, for instance smollm2-135m (model, step)", 0, 0},
    {"layers", FT_FLAG_INT, "N", "default 8, or the geometry's", 1, 10000},
    {"heads", FT_FLAG_INT, "N", "query heads (default 16)", 1, 1024},
    {"kv-heads", FT_FLAG_INT, "N", "key-value heads (default 4)", 1, 1024},
    {"vocab", FT_FLAG_INT, "N", "default 2048", 1, 1 << 24},
    {"seed", FT_FLAG_INT, "N", "of random weights and data", 0, 0},
    {"sequence-len", FT_FLAG_INT, "TOKENS", "step: default 512", 2, 1 << 20},
    {"micro-batch-size", FT_FLAG_INT, "N", "step: sequences computed at once (default 4)", 1, 65536},
    {"gradient-accumulation-steps", FT_FLAG_INT, "N", "step: micro-batches (default 1)", 1, 65536},
    {"lora-r", FT_FLAG_INT, "N", "step: default 16", 1, 1024},
    {"base-format", FT_FLAG_TEXT, "NAME", "step: how the store keeps linears, fp8 or bf16 (default bf16)", 0, 0},
    {"cpu-compute", FT_FLAG_TEXT, "NAME", "step: f32 or bf16 (default f32)", 0, 0},
    {"threads", FT_FLAG_INT, "N", "CPU threads (default: all this process may use)", 1, 4096},
    {NULL},
};

typedef ft_status (*probe)(const ft_bench_options *options, ft_bench_report *report);

static const char *text_or(const ft_invocation *in, const char *flag, const char *otherwise)
{
    return ft_args_given(in, flag) ? ft_args_text(in, flag) : otherwise;
}

static ft_status run_probe(const ft_invocation *in, probe run)
{
    ft_string_list nvme = {0};
    ft_bench_report report;
    FT_TRY(ft_threads_init((int)ft_args_int(in, "threads", 0)));
    if (ft_args_given(in, "nvme")) FT_TRY(ft_string_list_split(&nvme, ft_args_text(in, "nvme")));
    ft_bench_options options = {
        .nvme = (const char *const *)nvme.items, .n_nvme = nvme.n, .engine = text_or(in, "engine", "auto"),
        .bytes = ft_args_int(in, "bytes", (int64_t)2 << 30), .depth = (int)ft_args_int(in, "depth", 32), .chunk = ft_args_int(in, "chunk", 1 << 20),
        .repeat = (int)ft_args_int(in, "repeat", 5), .output = ft_args_text(in, "output"), .hidden = ft_args_int(in, "hidden", 2048),
        .ffn = ft_args_int(in, "ffn", 5632), .layers = ft_args_int(in, "layers", 0), .heads = ft_args_int(in, "heads", 16),
        .kv_heads = ft_args_int(in, "kv-heads", 4), .vocab = ft_args_int(in, "vocab", 2048), .seed = (uint64_t)ft_args_int(in, "seed", 1),
        .geometry = text_or(in, "geometry", NULL), .sequence_len = ft_args_int(in, "sequence-len", 512),
        .micro_batch_size = ft_args_int(in, "micro-batch-size", 4), .accumulation = ft_args_int(in, "gradient-accumulation-steps", 1),
        .lora_r = ft_args_int(in, "lora-r", 16), .base_format = text_or(in, "base-format", "bf16"), .cpu_compute = text_or(in, "cpu-compute", "f32")};
    ft_status status = ft_bench_report_begin(&report, ft_args_given(in, "json"), in->verb->name, in->argc, in->argv);
    if (status == FT_OK) {
        status = run(&options, &report);
        ft_bench_report_end(&report);
    }
    ft_string_list_free(&nvme);
    return status;
}

static ft_status run_io(ft_invocation *in) { return run_probe(in, ft_bench_io); }
static ft_status run_offload(ft_invocation *in) { return run_probe(in, ft_bench_offload); }
static ft_status run_model(ft_invocation *in) { return run_probe(in, ft_bench_model); }
static ft_status run_step(ft_invocation *in) { return run_probe(in, ft_bench_step); }
static ft_status run_table(ft_invocation *in) { return ft_bench_table((const char *const *)in->positional.items, in->positional.n); }

static const ft_verb io = {"io", NULL, "--nvme DIR[,DIR...] [--json]", "NVMe to host memory, beside fio", flags, false, run_io, 0};
static const ft_verb offload = {"offload", NULL, "--nvme DIR[,DIR...] [--json]", "every link and the whole streamed path, beside their limits", flags, false, run_offload, 0};
static const ft_verb model = {"model", NULL, "--output DIR [--hidden N --layers N ...]", "write a random-weight checkpoint of any geometry", flags, false, run_model, 0};
static const ft_verb step = {"step", NULL, "--geometry NAME [--layers N --sequence-len N --micro-batch-size N --lora-r N] [--json]", "optimizer steps of LoRA on random weights, with the time of each op", flags, false, run_step, 0};
static const ft_verb table = {"table", NULL, "RESULT.json ...", "print result files as the tables of BENCHMARKS.md", NULL, false, run_table, 64};
static const ft_verb *const verbs[] = {&io, &offload, &model, &step, &table, NULL};

int main(int argc, char **argv)
{
    return ft_program_main("ft-bench", verbs, argc, argv);
}
