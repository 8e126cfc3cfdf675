#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "data/dataset_check.h"
#include "data/prepared.h"

#define LAYOUT_VERSION 3  // raise when formats, tokenizer or file layout change what an entry holds
#define BLOCK (1u << 20)

// Lengths go with the texts, so that no two configurations have one description.
static ft_status describe_text(const char *text, ft_text *out)
{
    return text ? ft_text_printf(out, "%zu %s\n", strlen(text), text) : ft_text_printf(out, "unset\n");
}

// Its own chat template decides which is used where none is named.
static ft_status describe_tokenizer(const ft_tokenizer *tokenizer, ft_text *out)
{
    char *own;
    if (tokenizer == NULL) return ft_text_printf(out, "no tokenizer\n");
    FT_TRY(ft_text_printf(out, "tokenizer %016llx %d %d %d\n", (unsigned long long)ft_tokenizer_hash(tokenizer),
                          ft_tokenizer_bos(tokenizer), ft_tokenizer_eos(tokenizer), ft_tokenizer_adds_bos(tokenizer)));
    FT_TRY(ft_chat_template_own(tokenizer, &own));
    ft_status status = describe_text(own, out);
    ft_free(own);
    return status;
}

static ft_status describe_list(const ft_string_list *list, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "list of %d\n", list->n));
    for (int i = 0; i < list->n; i++) FT_TRY(describe_text(list->items[i], out));
    return FT_OK;
}

static ft_status describe_member(const ft_config_key *key, const ft_dataset_config *dataset, ft_text *out)
{
    const char *member = (const char *)dataset + key->offset;
    switch (key->type) {
    case FT_KEY_STRING:
    case FT_KEY_CHOICE: return describe_text(*(char *const *)member, out);
    case FT_KEY_LIST: return describe_list((const ft_string_list *)member, out);
    case FT_KEY_INT:
    case FT_KEY_BYTES: return ft_text_printf(out, "%lld\n", (long long)*(const int64_t *)member);
    case FT_KEY_REAL: return ft_text_printf(out, "%.17g\n", *(const double *)member);
    case FT_KEY_BOOL: return ft_text_printf(out, "%d\n", *(const bool *)member);
    case FT_KEY_DATASETS:
    case FT_KEY_IGNORED: break;
    }
    return FT_OK;
}

// All but the weight, which prepared tokens do not depend on, and the revision, which the files that are hashed follow from.
static ft_status describe_dataset(const ft_dataset_config *dataset, ft_text *out)
{
    for (size_t i = 0; i < ft_dataset_key_count; i++) {
        const ft_config_key *key = &ft_dataset_keys[i];
        if (strcmp(key->name, "weight") == 0 || strcmp(key->name, "revision") == 0) continue;
        FT_TRY(describe_member(key, dataset, out));
    }
    return FT_OK;
}

static ft_status describe_run(const ft_config *config, ft_text *out)
{
    FT_TRY(describe_text(config->excess_length_strategy, out));
    FT_TRY(describe_text(config->chat_template, out));
    FT_TRY(describe_text(config->family_template, out));
    FT_TRY(describe_list(&config->roles_to_train, out));
    FT_TRY(ft_text_printf(out, "history %d source %lld target %lld\n", config->mask_history, (long long)config->source_max_len,
                          (long long)config->target_max_len));
    return ft_text_printf(out, "layout %d vocab %lld length %lld inputs %d eval %.17g seed %lld data %d test %d\n", LAYOUT_VERSION,
                          (long long)config->vocab, (long long)config->sequence_len, config->train_on_inputs, config->val_set_size,
                          (long long)config->seed, config->datasets.n, config->test_datasets.n);
}

static ft_status hash_file(const char *path, ft_hasher *hasher, char *block, int64_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return ft_error_errno(FT_E_IO, errno, "%s: cannot be opened", path);
    size_t n;
    for (*bytes = 0; (n = fread(block, 1, BLOCK, file)) > 0; *bytes += (int64_t)n) ft_hasher_add(hasher, block, n);
    bool failed = ferror(file);
    fclose(file);
    return failed ? ft_error(FT_E_IO, "%s: reading failed", path) : FT_OK;
}

// The sizes in the description say where one file ends and the next begins.
static ft_status hash_files(const ft_string_list *files, ft_hasher *hasher, char *block, ft_text *description)
{
    FT_TRY(ft_text_printf(description, "%d files\n", files->n));
    for (int i = 0; i < files->n; i++) {
        int64_t bytes = 0;
        FT_TRY(hash_file(files->items[i], hasher, block, &bytes));
        FT_TRY(describe_text(ft_path_base(files->items[i]), description));
        FT_TRY(ft_text_printf(description, "%lld bytes\n", (long long)bytes));
    }
    return FT_OK;
}

static ft_status hash_list(const ft_dataset_list *list, ft_hasher *hasher, char *block, ft_text *description)
{
    for (int i = 0; i < list->n; i++) {
        ft_string_list files = {0};
        ft_status status = ft_dataset_files(&list->items[i], &files);
        if (status == FT_OK) status = hash_files(&files, hasher, block, description);
        ft_string_list_free(&files);
        FT_TRY(status);
        FT_TRY(describe_dataset(&list->items[i], description));
    }
    return FT_OK;
}

ft_status ft_prepared_key(const ft_config *config, const ft_tokenizer *tokenizer, ft_hash128 *key)
{
    ft_hasher *hasher = NULL;
    ft_text description = {0};
    ft_status status = FT_E_NOMEM;
    char *block = ft_malloc(BLOCK);
    if (block == NULL) goto out;
    FT_TRY_GOTO(status, out, ft_hasher_new(&hasher));
    FT_TRY_GOTO(status, out, describe_run(config, &description));
    FT_TRY_GOTO(status, out, describe_tokenizer(tokenizer, &description));
    FT_TRY_GOTO(status, out, hash_list(&config->datasets, hasher, block, &description));
    FT_TRY_GOTO(status, out, hash_list(&config->test_datasets, hasher, block, &description));
    ft_hasher_add(hasher, description.data, description.length);
    *key = ft_hasher_finish(hasher);
out:
    ft_text_free(&description);
    ft_hasher_free(hasher);
    ft_free(block);
    return status;
}
