// README.md of a merged model, which takes over what the adapter's own says about its training.
#include "common/file.h"
#include "common/memory.h"
#include "train/merge_internal.h"
#include "train/model_card.h"
#include "train/serve_check.h"

static ft_status write_card(const merge *m, const ft_text *text)
{
    char *path = ft_commit_path(&m->commit, FT_MODEL_CARD);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_file_write(path, text->data, text->length);
    ft_free(path);
    return status;
}

ft_status ft_merge_put_card(const merge *m)
{
    char *trained = NULL, *name = ft_serve_name(m->options->output);
    size_t bytes;
    ft_text text = {0};
    FT_ALLOC_CHECK(name);
    ft_status status = ft_model_card_read(m->options->adapter, &trained, &bytes);  // none in a checkpoint, or another trainer's
    const ft_merged_card card = {.name = name, .base = m->options->model, .adapter = &m->adapter, .trained = trained};
    if (status == FT_OK) status = ft_merged_card_make(&card, &text);
    if (status == FT_OK) status = write_card(m, &text);
    ft_text_free(&text);
    ft_free(trained);
    ft_free(name);
    return status;
}
