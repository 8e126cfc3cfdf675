#include "import/import.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "import/import_internal.h"

#define SPACE_BESIDE_WEIGHTS ((int64_t)64 << 20)  // config, tokenizer, headers

static ft_status write_text(const import *im, const char *file, const char *text)
{
    char *path = ft_commit_path(&im->commit, file);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_file_write(path, text, strlen(text));
    ft_free(path);
    return status;
}

// Takes the reference; NULL = out of memory.
static ft_status write_json(const import *im, const char *file, json_t *root)
{
    char *text = root != NULL ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    ft_status status = text != NULL ? write_text(im, file, text) : ft_error(FT_E_NOMEM, "out of memory: %s", file);
    free(text);
    return status;
}

static ft_status check_vocab(const import *im)
{
    if (im->vocab.n <= im->shape.vocab) return FT_OK;
    return ft_error(FT_E_INPUT, "%s: tokenizer.ggml.tokens has %lld tokens, tensor token_embd.weight only %lld rows", im->file->path,
                    (long long)im->vocab.n, (long long)im->shape.vocab);
}

static ft_status open_all(import *im)
{
    const ft_output_source source = {im->options->input, "input"};
    FT_TRY(ft_model_output_check(&im->output, im->options->output, &source, 1, im->options->overwrite));
    FT_TRY(ft_gguf_series_open(&im->series, im->options->input));
    im->file = &im->series.files[0];
    FT_TRY(ft_import_find_family(im));
    FT_TRY(ft_vocab_source_open(&im->vocab, im->file));
    FT_TRY(ft_import_make_config(im));
    FT_TRY(check_vocab(im));
    FT_TRY(ft_import_plan(im));
    FT_TRY(ft_make_directories(im->output.parent));
    return ft_model_output_space(&im->output, im->total_bytes + SPACE_BESIDE_WEIGHTS, "the imported model");
}

static ft_status write_tokenizer(const import *im)
{
    json_t *root;
    FT_TRY(ft_tokenizer_build(&im->vocab, &root));
    FT_TRY(write_json(im, "tokenizer.json", root));
    FT_TRY(ft_tokenizer_build_config(&im->vocab, im->shape.max_positions, &root));
    FT_TRY(write_json(im, "tokenizer_config.json", root));
    FT_TRY(ft_generation_build_config(&im->vocab, &root));
    return write_json(im, "generation_config.json", root);
}

// What was written is read as any model directory is: config, index, headers.
static ft_status check_written(const import *im)
{
    ft_shape shape;
    ft_model_files files;
    FT_TRY(ft_shape_read(&shape, im->commit.temporary));
    FT_TRY(ft_model_files_open(&files, im->commit.temporary));
    bool whole = files.n_tensors == im->n_tensors && files.total_bytes == im->total_bytes;
    ft_model_files_close(&files);
    return whole ? FT_OK : ft_error(FT_E_CORRUPT, "%s: reads back other tensors than were written", im->commit.temporary);
}

static ft_status write_all(import *im)
{
    FT_TRY(write_text(im, "config.json", im->config));
    FT_TRY(write_tokenizer(im));  // before the weights: what it refuses is refused early
    FT_TRY(ft_import_write_weights(im));
    if (im->n_shards > 1) FT_TRY(ft_model_index_write(&im->commit, im->shards, im->n_shards, im->entries));
    return check_written(im);
}

static ft_status write_and_commit(import *im)
{
    FT_TRY(ft_commit_begin(&im->commit, im->output.parent, im->output.name));
    ft_status status = write_all(im);
    if (status == FT_OK) return ft_commit_finish(&im->commit, im->output.replace);
    ft_commit_abort(&im->commit);
    return status;
}

ft_status ft_import(const ft_import_options *options, ft_import_result *result)
{
    import im = {.options = options};
    ft_status status = open_all(&im);
    if (status == FT_OK) status = write_and_commit(&im);
    if (status == FT_OK)
        *result = (ft_import_result){im.n_tensors, ft_shape_parameters(&im.shape), im.total_bytes, im.family->architecture, im.vocab.n};
    ft_import_plan_free(&im);
    ft_vocab_source_free(&im.vocab);
    ft_gguf_series_close(&im.series);
    free(im.config);
    ft_model_output_free(&im.output);
    return status;
}
