// ft-single store list|remove | verify: everything about files at rest.
#include <stdio.h>
#include <string.h>

#include "cli/verbs.h"
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "offload/store.h"
#include "train/checkpoint.h"

#define NVME_FLAG {"nvme", FT_FLAG_TEXT, "DIR[,DIR...]", "drive directories of the store", 0, 0}

// --- store -------------------------------------------------------------------------------------------------------------------

static const ft_flag store_flags[] = {NVME_FLAG, {NULL}};

static const char *state_of(const ft_store_entry *entry)
{
    if (entry->complete) return "complete";
    return entry->found_drives < entry->n_drives ? "drives missing" : "unfinished";
}

static void print_entry(const ft_store_entry *entry)
{
    char bytes[FT_HUMAN_BYTES];
    printf("%s  %-4s  %10s  %d of %d drive%s  %-14s  %s", entry->id, entry->format == FT_BASE_FP8 ? "fp8" : "bf16",
           ft_human_bytes(bytes, (double)entry->bytes), entry->found_drives, entry->n_drives, entry->n_drives == 1 ? "" : "s",
           state_of(entry), entry->source ? entry->source : "?");
    if (entry->commit) printf("  (hub: %s, %s)", entry->repository, entry->revision);
    printf("\n");
}

static ft_status list_stores(const ft_string_list *drives)
{
    ft_store_entry *entries;
    int n;
    FT_TRY(ft_store_list((const char *const *)drives->items, drives->n, &entries, &n));
    for (int i = 0; i < n; i++) print_entry(&entries[i]);
    if (n == 0) ft_info("no store in these directories");
    ft_store_list_free(entries, n);
    return FT_OK;
}

static ft_status store(ft_invocation *in)
{
    ft_string_list drives = {0};
    const char *what = in->positional.n > 0 ? in->positional.items[0] : "";
    ft_status status = ft_args_drives(in, &drives);
    if (status == FT_OK && strcmp(what, "list") == 0 && in->positional.n == 1) {
        status = list_stores(&drives);
    } else if (status == FT_OK && strcmp(what, "remove") == 0 && in->positional.n == 2) {
        status = ft_store_remove((const char *const *)drives.items, drives.n, in->positional.items[1]);
        if (status == FT_OK) printf("removed %s\n", in->positional.items[1]);
    } else if (status == FT_OK) {
        status = ft_error(FT_E_USAGE, "store: `store list --nvme DIR` or `store remove ID --nvme DIR`");
    }
    ft_string_list_free(&drives);
    return status;
}

const ft_verb ft_verb_store = {"store", NULL, "list|remove [ID] --nvme DIR[,DIR...]", "list the stores on the drives, or remove one", store_flags, false, store, 2};

// --- verify ------------------------------------------------------------------------------------------------------------------

static const ft_flag verify_flags[] = {NVME_FLAG, {NULL}};

static bool holds(const char *directory, const char *file)
{
    char *path = ft_path_join(directory, file);
    bool there = path && ft_path_exists(path);
    ft_free(path);
    return there;
}

static ft_status verify_store(const ft_invocation *in, const char *id)
{
    ft_string_list drives = {0};
    ft_store *opened;
    FT_TRY(ft_args_drives(in, &drives));
    ft_store_options options = {.nvme = (const char *const *)drives.items, .n_nvme = drives.n, .io = {.engine = "auto"}};
    ft_status status = ft_store_open(&opened, NULL, id, &options);
    if (status == FT_OK) {
        status = ft_store_verify(opened);
        if (status == FT_OK) printf("store %s: %lld stripes verified\n", id, (long long)opened->n_stripes);
        ft_store_close(opened);
    }
    ft_string_list_free(&drives);
    return status;
}

static ft_status verify(ft_invocation *in)
{
    if (in->positional.n != 1) return ft_error(FT_E_USAGE, "verify: give a checkpoint directory, an adapter directory, or a store id with --nvme");
    const char *what = in->positional.items[0];
    if (holds(what, "manifest.json") && holds(what, "state.json")) {
        FT_TRY(ft_checkpoint_verify(what));
        printf("checkpoint %s: verified\n", what);
        return FT_OK;
    }
    if (holds(what, "adapter_config.json")) {
        FT_TRY(ft_adapter_verify(what));
        printf("adapter %s: verified\n", what);
        return FT_OK;
    }
    if (ft_path_is_directory(what)) return ft_error(FT_E_INPUT, "%s: neither a checkpoint nor an adapter (no manifest.json, no adapter_config.json); name OUTPUT/checkpoint-N or OUTPUT/adapter", what);
    if (strspn(what, "0123456789abcdef") != FT_HASH_TEXT - 1 || strlen(what) != FT_HASH_TEXT - 1)
        return ft_error(FT_E_NOT_FOUND, "%s: neither a directory nor the id of a store; `ft-single store list --nvme DIR` shows the ids", what);
    return verify_store(in, what);
}

const ft_verb ft_verb_verify = {"verify", NULL, "STORE_ID --nvme DIR | CHECKPOINT | ADAPTER", "read everything and check every hash", verify_flags, false, verify, 1};
