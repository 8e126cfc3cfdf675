// `store list` and `store remove`.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "io/commit.h"
#include "offload/store_hub.h"

// A public entry and what merging its parts needs.
typedef struct {
    ft_store_entry *entries;
    char (*sets)[FT_HASH_TEXT];
    uint32_t *finals;  // bit per ordinal of a committed part
    int n, capacity;
} store_listing;

_Static_assert(FT_MAX_DRIVES <= 32, "ordinals are bits");

static ft_status grow(store_listing *listing)
{
    if (listing->n < listing->capacity) return FT_OK;
    int capacity = listing->capacity == 0 ? 16 : 2 * listing->capacity;
    void *entries = ft_realloc(listing->entries, (size_t)capacity * sizeof *listing->entries);
    FT_ALLOC_CHECK(entries);
    listing->entries = entries;
    void *sets = ft_realloc(listing->sets, (size_t)capacity * sizeof *listing->sets);
    FT_ALLOC_CHECK(sets);
    listing->sets = sets;
    void *finals = ft_realloc(listing->finals, (size_t)capacity * sizeof *listing->finals);
    FT_ALLOC_CHECK(finals);
    listing->finals = finals;
    listing->capacity = capacity;
    return FT_OK;
}

static ft_status find_entry(store_listing *listing, const char *id, int *index)
{
    for (*index = 0; *index < listing->n; (*index)++)
        if (strcmp(listing->entries[*index].id, id) == 0) return FT_OK;
    FT_TRY(grow(listing));
    ft_store_entry entry = {.source = ft_strdup("(unreadable manifest)")};
    FT_ALLOC_CHECK(entry.source);
    snprintf(entry.id, sizeof entry.id, "%s", id);
    listing->entries[listing->n] = entry;
    listing->sets[listing->n][0] = 0;
    listing->finals[listing->n++] = 0;
    return FT_OK;
}

static ft_status describe_hub(ft_store_entry *entry, const ft_store_origin *hub)
{
    if (hub->commit == NULL) return FT_OK;
    FT_ALLOC_CHECK(entry->repository = ft_strdup(hub->repository));
    FT_ALLOC_CHECK(entry->revision = ft_strdup(hub->revision));
    FT_ALLOC_CHECK(entry->commit = ft_strdup(hub->commit));
    return FT_OK;
}

static ft_status describe(store_listing *listing, int index, const ft_manifest *manifest)
{
    ft_store_entry *entry = &listing->entries[index];
    char *source = ft_strdup(manifest->source);
    FT_ALLOC_CHECK(source);
    ft_free(entry->source);
    entry->source = source;
    FT_TRY(describe_hub(entry, &manifest->hub));
    entry->format = manifest->format;
    entry->bytes = ft_manifest_bytes(manifest);
    entry->n_drives = manifest->n_drives;
    memcpy(listing->sets[index], manifest->set, sizeof manifest->set);
    return FT_OK;
}

// One part found in a directory. The first readable manifest of an id describes it; parts of other sets only count as found.
static ft_status add_part(store_listing *listing, const char *id, const ft_manifest *manifest, bool final)
{
    int index;
    FT_TRY(find_entry(listing, id, &index));
    ft_store_entry *entry = &listing->entries[index];
    entry->found_drives++;
    if (manifest == NULL) return FT_OK;
    if (listing->sets[index][0] == 0) FT_TRY(describe(listing, index, manifest));
    if (final && strcmp(listing->sets[index], manifest->set) == 0) listing->finals[index] |= 1u << manifest->ordinal;
    uint32_t all = (uint32_t)(((uint64_t)1 << entry->n_drives) - 1);
    entry->complete = listing->finals[index] == all;
    return FT_OK;
}

static ft_status read_any_manifest(ft_manifest *manifest, const char *directory)
{
    static const char *const names[] = {FT_STORE_MANIFEST, FT_STORE_BUILD};
    ft_status status = FT_E_NOT_FOUND;
    for (int i = 0; i < 2 && status != FT_OK && status != FT_E_NOMEM; i++) {
        char *path = ft_path_join(directory, names[i]);
        FT_ALLOC_CHECK(path);
        status = ft_manifest_read(manifest, path);
        ft_free(path);
    }
    return status;
}

// "ID" or ".ID.building"; anything else is not ours.
static bool parse_name(const char *name, char id[FT_HASH_TEXT], bool *final)
{
    ft_hash128 parsed;
    char text[FT_HASH_TEXT] = "";
    *final = name[0] != '.';
    snprintf(text, sizeof text, "%s", *final ? name : name + 1);
    if (ft_hash128_parse(text, &parsed) != FT_OK) return false;
    ft_hash128_text(parsed, id);
    return strcmp(name + !*final + (FT_HASH_TEXT - 1), *final ? "" : ".building") == 0;
}

static ft_status list_entry(store_listing *listing, const char *root, const char *name)
{
    char id[FT_HASH_TEXT];
    bool final;
    ft_manifest manifest;
    if (!parse_name(name, id, &final)) return FT_OK;
    char *path = ft_path_join(root, name);
    FT_ALLOC_CHECK(path);
    ft_status status = read_any_manifest(&manifest, path);
    ft_free(path);
    if (status == FT_E_NOMEM) return status;
    bool readable = status == FT_OK && strcmp(manifest.id, id) == 0;
    status = add_part(listing, id, readable ? &manifest : NULL, final);
    ft_manifest_free(&manifest);
    return status;
}

static ft_status list_root(store_listing *listing, const char *root)
{
    DIR *stream = opendir(root);
    if (stream == NULL) return errno == ENOENT ? FT_OK : ft_error_errno(FT_E_IO, errno, "%s", root);
    ft_status status = FT_OK;
    struct dirent *item;
    while (status == FT_OK && (item = readdir(stream)) != NULL) status = list_entry(listing, root, item->d_name);
    closedir(stream);
    return status;
}

static ft_status list_directory(store_listing *listing, const char *nvme)
{
    if (!ft_path_is_directory(nvme)) return ft_error(FT_E_INPUT, "--nvme %s is not a directory", nvme);
    char *root = ft_path_join(nvme, "ft-store");
    FT_ALLOC_CHECK(root);
    ft_status status = list_root(listing, root);
    ft_free(root);
    return status;
}

ft_status ft_store_list(const char *const *nvme, int n_nvme, ft_store_entry **entries, int *n)
{
    store_listing listing = {0};
    ft_status status = FT_OK;
    *entries = NULL;
    *n = 0;
    for (int i = 0; i < n_nvme && status == FT_OK; i++) status = list_directory(&listing, nvme[i]);
    ft_free(listing.sets);
    ft_free(listing.finals);
    if (status != FT_OK) {
        ft_store_list_free(listing.entries, listing.n);
        return status;
    }
    *entries = listing.entries;
    *n = listing.n;
    return FT_OK;
}

void ft_store_list_free(ft_store_entry *entries, int n)
{
    for (int i = 0; i < n; i++) {
        ft_free(entries[i].source);
        ft_free(entries[i].repository);
        ft_free(entries[i].revision);
        ft_free(entries[i].commit);
    }
    ft_free(entries);
}

// The scratch directory below this drive of an unfinished build from the hub.
static ft_status remove_scratch(const ft_store_directory *directory)
{
    ft_manifest manifest;
    ft_status status = read_any_manifest(&manifest, directory->building);
    if (status != FT_OK) return status == FT_E_NOMEM ? status : FT_OK;
    if (manifest.hub.commit != NULL) status = ft_store_scratch_remove(directory->root, manifest.hub.commit, manifest.format);
    ft_manifest_free(&manifest);
    return status;
}

// Under its building name a half-removed part is never mistaken for a store, and the next remove or prepare clears it.
static ft_status remove_part(const ft_store_directory *directory)
{
    FT_TRY(remove_scratch(directory));
    FT_TRY(ft_remove_tree(directory->building));
    if (ft_path_exists(directory->final)) FT_TRY(ft_store_rename(directory->final, directory->building, directory->root));
    FT_TRY(ft_remove_tree(directory->building));
    return ft_sync_directory(directory->root);
}

static ft_status remove_from(const char *const *holders, int n, const char *id)
{
    ft_store_directories directories;
    FT_TRY(ft_store_directories_open(&directories, holders, n, id));
    ft_status status = ft_store_directories_lock(&directories);
    for (int i = 0; i < n && status == FT_OK; i++) status = remove_part(&directories.item[i]);
    ft_store_directories_close(&directories);
    return status;
}

// The given directories that hold something of the id.
static int select_holders(const ft_store_directories *directories, const char *holders[FT_MAX_DRIVES])
{
    int n = 0;
    for (int i = 0; i < directories->n; i++) {
        const ft_store_directory *directory = &directories->item[i];
        if (ft_path_exists(directory->final) || ft_path_exists(directory->building)) holders[n++] = directory->path;
    }
    return n;
}

ft_status ft_store_remove(const char *const *nvme, int n_nvme, const char *id)
{
    ft_store_directories given;
    const char *holders[FT_MAX_DRIVES];
    FT_TRY(ft_store_directories_open(&given, nvme, n_nvme, id));
    int n = select_holders(&given, holders);
    ft_status status;
    if (n == 0) {
        status = ft_error(FT_E_NOT_FOUND, "base store %s is not in the directories of --nvme: `ft-single store list` shows what is",
                          given.id);
    } else {
        status = remove_from(holders, n, id);
    }
    ft_store_directories_close(&given);
    return status;
}
