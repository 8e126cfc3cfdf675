#include "train/merge.h"

#include "common/file.h"
#include "common/memory.h"
#include "train/checkpoint.h"
#include "train/merge_internal.h"

#define SPACE_BESIDE_WEIGHTS ((int64_t)64 << 20)  // config, tokenizer, headers

static ft_status open_adapter(merge *m)
{
    const char *directory = m->options->adapter;
    bool all_zero, rslora;
    int64_t r;
    double alpha, dropout;
    unsigned targets;
    FT_TRY(ft_adapter_check(directory, &all_zero));
    if (all_zero) return ft_error(FT_E_INPUT, "%s: every B (or every A) is zero: there is nothing to merge", directory);
    FT_TRY(ft_adapter_read_config(directory, &r, &alpha, &dropout, &rslora, &targets));
    FT_TRY(ft_adapter_layout_make(&m->adapter, &m->shape, r, alpha, dropout, rslora, targets));
    return ft_adapter_file_open(&m->adapter_file, directory, &m->adapter, &m->shape);
}

static ft_status open_all(merge *m)
{
    const ft_output_source sources[] = {{m->options->model, "model"}, {m->options->adapter, "adapter"}};
    FT_TRY(ft_model_output_check(&m->output, m->options->output, sources, 2, m->options->overwrite));
    FT_TRY(ft_shape_read(&m->shape, m->options->model));
    FT_TRY(open_adapter(m));
    FT_TRY(ft_model_files_open(&m->source, m->options->model));
    FT_TRY(ft_merge_plan(m));
    FT_TRY(ft_make_directories(m->output.parent));
    FT_TRY(ft_model_output_space(&m->output, m->total_bytes + SPACE_BESIDE_WEIGHTS, "the merged model"));
    return ft_merge_buffers_alloc(m);
}

static ft_status write_all(merge *m)
{
    for (int64_t s = 0; s < m->n_shards; s++) FT_TRY(ft_merge_write_shard(m, &m->shards[s]));
    if (m->rows_changed == 0)
        return ft_error(FT_E_INPUT, "%s: the adapter is too small to change a single weight in %s's dtype", m->options->adapter,
                        m->options->model);
    if (m->indexed) FT_TRY(ft_model_index_write(&m->commit, m->shards, m->n_shards, m->entries));
    FT_TRY(ft_merge_copy_files(m));
    return ft_merge_put_card(m);
}

static ft_status write_and_commit(merge *m)
{
    FT_TRY(ft_commit_begin(&m->commit, m->output.parent, m->output.name));
    ft_progress_begin(&m->progress, "merging", "B", 2.0 * (double)m->total_bytes);
    ft_status status = write_all(m);
    ft_progress_end(&m->progress);
    if (status == FT_OK) return ft_commit_finish(&m->commit, m->output.replace);
    ft_commit_abort(&m->commit);
    return status;
}

ft_status ft_merge(const ft_merge_options *options, ft_merge_result *result)
{
    merge m = {.options = options, .result = result};
    *result = (ft_merge_result){0};
    ft_status status = open_all(&m);
    if (status == FT_OK) status = write_and_commit(&m);
    ft_merge_buffers_free(&m);
    ft_merge_plan_free(&m);
    ft_model_files_close(&m.source);
    ft_adapter_file_close(&m.adapter_file);
    ft_adapter_layout_free(&m.adapter);
    ft_model_output_free(&m.output);
    return status;
}
