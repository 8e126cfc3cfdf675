// The probes of ft-bench, and what they share.
#ifndef FT_BENCH_PROBES_H
#define FT_BENCH_PROBES_H

#include "arch/shape.h"
#include "bench/result.h"
#include "common/config.h"

// Options all probes share; each uses what it names in its help.
typedef struct {
    const char *const *nvme;
    int n_nvme;
    const char *engine;
    int64_t bytes;          // moved: per drive, or by each op (0 = by the device)
    int depth;
    int64_t chunk;
    int repeat;
    const char *output;     // model: directory to write; calibrate: file, NULL = where runs look
    const char *geometry;   // a built-in shape; NULL = the numbers that follow
    int64_t hidden, ffn, layers, heads, kv_heads, vocab;  // layers 0 = 8, or the geometry's
    uint64_t seed;
    const char *device;     // attention, ops, offload
    bool tune;              // offload: choose sizes and depths of transfers
    int64_t head_dim, sequence_len, micro_batch_size;  // attention
    bool packed;            // attention: documents of uneven lengths
    const char *product;    // gemm: "MxNxK", NULL = those of the geometry
    int64_t tokens;         // gemm: rows
    int candidates;         // gemm, calibrate: algorithms tried per product
    const char *tier;       // step: hbm, host, nvme or plan; NULL = base_placement
    int64_t alias;          // step: real layers in host memory, 0 = all
    int warm_up;            // step: steps before the measured ones, negative = as many as the device needs
    bool links;             // step: independent copies beside the products (bench/step_links.h)
    bool no_profile;        // step: neither a step with clocks nor rates of its parts
    bool keep_store;        // step: a store of random weights stays
    const char *curve;      // step: tokens a sweep, comma-separated, NULL = none
    ft_settings *settings;  // step, gemm, calibrate: the config keys of the command line
} ft_bench_options;

// What a probe measures into.
ft_status ft_bench_io(const ft_bench_options *options, ft_bench_report *report);
ft_status ft_bench_offload(const ft_bench_options *options, ft_bench_report *report);
ft_status ft_bench_step(const ft_bench_options *options, ft_bench_report *report);
// `step --curve`: streaming's cost against the tokens of a sweep.
ft_status ft_bench_curve(const ft_bench_options *options, ft_bench_report *report);
ft_status ft_bench_gemm(const ft_bench_options *options, ft_bench_report *report);
ft_status ft_bench_calibrate(const ft_bench_options *options, ft_bench_report *report);
ft_status ft_bench_attention(const ft_bench_options *options, ft_bench_report *report);
ft_status ft_bench_ops(const ft_bench_options *options, ft_bench_report *report);
ft_status ft_bench_model(const ft_bench_options *options, ft_bench_report *report);

// Prints result files as the tables of BENCHMARKS.md.
ft_status ft_bench_table(const char *const *paths, int n);

double ft_bench_median(double *values, int n);  // sorts
// A file of random bytes (never zeros: some storage answers zeros without reading).
ft_status ft_bench_random_file(const char *path, int64_t bytes, uint64_t seed);
// The geometry that the options name or spell out.
ft_status ft_bench_shape(ft_shape *shape, const ft_bench_options *options);
// Its config.json alone; and that of another model, with `layers` layers if positive.
ft_status ft_bench_write_config(const ft_bench_options *options, const char *directory);
ft_status ft_bench_copy_config(const char *model, int64_t layers, const char *directory);
// Writes a random-weight checkpoint (config.json, model.safetensors in bf16) of the options' geometry.
ft_status ft_bench_write_model(const ft_bench_options *options, const char *directory);

#endif
