// Listings: /api/models|datasets/REPO/revision/REV for the commit, /api/.../tree/COMMIT?recursive=true for its files, page by page
// (Link: <...>; rel="next").
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/memory.h"
#include "io/http_url.h"
#include "io/hub_internal.h"

// The sum of the sizes stays below 2^62: 4 TiB a file is eight times what the hub takes.
enum { MAX_ANSWER_BYTES = 256 << 20, MAX_PAGES = 10000, MAX_FILES = 1 << 20 };
#define MAX_FILE_BYTES (INT64_C(1) << 42)

static bool is_commit(const char *text)
{
    size_t n = strspn(text, "0123456789abcdefABCDEF");
    return n == 40 && text[n] == 0;
}

ft_hub_subject ft_hub_subject_of(const ft_hub_listing *listing, const ft_hub_file *file)
{
    return (ft_hub_subject){listing->kind, listing->repository, listing->revision, file ? file->path : NULL};
}

// ---- one answer

typedef struct {
    ft_text text;
    const char *repository;
} answer;

static ft_status add_text(void *user, int64_t offset, const void *data, size_t n)
{
    answer *a = user;
    a->text.length = (size_t)offset;
    if (a->text.length + n > MAX_ANSWER_BYTES) return ft_error(FT_E_INPUT, "%s: the hub's answer is larger than any listing", a->repository);
    return ft_text_add(&a->text, data, n);
}

// Link: <ADDRESS>; rel="next", among others. One too long to be kept must not pass for the last page.
static ft_status find_next(const ft_hub_request *r, char **next)
{
    const char *link = r->transfer.head.link, *relation = strstr(link, "rel=\"next\""), *begin = relation;
    if (r->transfer.head.link_cut) return ft_error(FT_E_INPUT, "%s: the address of its listing's next page is too long", r->subject.repository);
    while (begin && begin > link && *begin != '<') begin--;
    const char *end = begin && *begin == '<' ? memchr(begin, '>', (size_t)(relation - begin)) : NULL;
    if (end == NULL) return FT_OK;
    char *target = ft_strndup(begin + 1, (size_t)(end - begin) - 1);
    ft_status status = target ? ft_url_join(r->url, target, next) : FT_E_NOMEM;
    ft_free(target);
    return status;
}

// GETs `address` (taken over) as JSON. *next: where the next page is, heap, NULL = it was the last.
static ft_status get_json(const ft_hub_listing *listing, char *address, const volatile int *cancel, json_t **json, char **next)
{
    json_error_t error;
    answer a = {.repository = listing->repository};
    ft_hub_request r = {.client = listing->client, .subject = ft_hub_subject_of(listing, NULL), .file = -1, .address = address, .sink = add_text, .user = &a};
    ft_status status = ft_hub_request_run(&r, cancel);
    if (status == FT_OK && (*json = json_loadb(a.text.data ? a.text.data : "", a.text.length, JSON_REJECT_DUPLICATES, &error)) == NULL)
        status = ft_error(FT_E_INPUT, "%s: what answers at %s is no hub: %s", listing->repository, listing->client->endpoint, error.text);
    if (status == FT_OK && next) status = find_next(&r, next);
    ft_text_free(&a.text);
    ft_hub_request_end(&r);
    return status;
}

// ---- the commit

static char *api_address(const ft_hub_listing *listing, const char *word, const char *revision, const char *query)
{
    char *escaped = ft_url_escape(revision, true);
    char *address = escaped ? ft_format("%s/api/%s/%s/%s/%s%s", listing->client->endpoint, listing->kind == FT_HUB_DATASET ? "datasets" : "models",
                                        listing->repository, word, escaped, query) : NULL;
    ft_free(escaped);
    return address;
}

static ft_status find_commit(ft_hub_listing *listing, const volatile int *cancel)
{
    json_t *json = NULL;
    ft_status status = get_json(listing, api_address(listing, "revision", listing->revision, ""), cancel, &json, NULL);
    const char *commit = status == FT_OK ? json_string_value(json_object_get(json, "sha")) : NULL;
    if (status == FT_OK && (commit == NULL || !is_commit(commit)))
        status = ft_error(FT_E_INPUT, "%s: what answers at %s names no commit: it is no hub", listing->repository, listing->client->endpoint);
    if (status == FT_OK && (listing->commit = ft_strdup(commit)) == NULL) status = FT_E_NOMEM;
    json_decref(json);
    return status;
}

// ---- the files

static bool is_hash(const char *text, size_t digits)
{
    return text && strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

// {"type": "file", "path", "size", "oid": git's id, "lfs": {"oid": SHA-256, "size"}}
static ft_status read_file(const ft_hub_listing *listing, const json_t *entry, ft_hub_file *file)
{
    const json_t *lfs = json_object_get(entry, "lfs"), *size;
    if (!json_is_object(lfs)) lfs = NULL;
    const char *path = json_string_value(json_object_get(entry, "path")), *hash = json_string_value(json_object_get(lfs ? lfs : entry, "oid"));
    if (path == NULL || !ft_hub_is_plain_path(path))
        return ft_error(FT_E_INPUT, "%s: its listing names \"%.200s\", which is no path within a repository: refused", listing->repository, path ? path : "");
    size = json_object_get(lfs ? lfs : entry, "size");
    *file = (ft_hub_file){.bytes = json_integer_value(size), .large = lfs != NULL};
    if (!is_hash(hash, lfs ? 64 : 40)) return ft_error(FT_E_INPUT, "%s: its listing has no hash of %s", listing->repository, path);
    if (!json_is_integer(size) || file->bytes < 0 || file->bytes > MAX_FILE_BYTES)
        return ft_error(FT_E_INPUT, "%s: its listing has no size of %s, or one that cannot be", listing->repository, path);
    memcpy(file->hash, hash, strlen(hash) + 1);
    file->path = ft_strdup(path);
    return file->path ? FT_OK : FT_E_NOMEM;
}

static ft_status add_page(ft_hub_listing *listing, const json_t *page)
{
    size_t i;
    json_t *entry;
    if (json_array_size(page) > (size_t)(MAX_FILES - listing->n_files)) return ft_error(FT_E_INPUT, "%s: more than %d files", listing->repository, MAX_FILES);
    if (!json_is_array(page)) return ft_error(FT_E_INPUT, "%s: its listing is no list", listing->repository);
    ft_hub_file *files = ft_realloc(listing->files, ((size_t)listing->n_files + json_array_size(page) + 1) * sizeof *files);
    FT_ALLOC_CHECK(files);
    listing->files = files;
    json_array_foreach(page, i, entry)
    {
        const char *type = json_string_value(json_object_get(entry, "type"));
        if (type == NULL || strcmp(type, "file") != 0) continue;
        FT_TRY(read_file(listing, entry, &listing->files[listing->n_files]));
        listing->n_files++;
    }
    return FT_OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const ft_hub_file *)a)->path, ((const ft_hub_file *)b)->path);
}

static ft_status find_files(ft_hub_listing *listing, const volatile int *cancel)
{
    char *address = api_address(listing, "tree", listing->commit, "?recursive=true&expand=false");
    FT_ALLOC_CHECK(address);
    for (int page = 0; address; page++) {
        json_t *json = NULL;
        char *next = NULL;
        ft_status status = page < MAX_PAGES ? get_json(listing, address, cancel, &json, &next)
                                            : ft_error(FT_E_INPUT, "%s: its listing does not end", listing->repository);
        if (status == FT_OK) status = add_page(listing, json);
        json_decref(json);
        address = next;
        if (status != FT_OK) {
            ft_free(next);
            return status;
        }
    }
    if (listing->n_files) qsort(listing->files, (size_t)listing->n_files, sizeof *listing->files, by_path);
    for (int i = 1; i < listing->n_files; i++)
        if (strcmp(listing->files[i].path, listing->files[i - 1].path) == 0)
            return ft_error(FT_E_INPUT, "%s: its listing names %s twice", listing->repository, listing->files[i].path);
    return FT_OK;
}

// ---- public

static ft_status fill(ft_hub_listing *listing, const volatile int *cancel)
{
    FT_TRY(ft_hub_client_open(&listing->client, FT_HUB_CONNECTIONS));
    if (is_commit(listing->revision)) {
        listing->commit = ft_strdup(listing->revision);
        FT_ALLOC_CHECK(listing->commit);
    } else {
        FT_TRY(find_commit(listing, cancel));
    }
    FT_TRY(find_files(listing, cancel));
    listing->client->links = FT_NEW_ARRAY(char *, listing->n_files + 1);
    FT_ALLOC_CHECK(listing->client->links);
    listing->client->n_links = listing->n_files;
    return FT_OK;
}

ft_status ft_hub_list(ft_hub_listing *listing, ft_hub_kind kind, const char *id, const char *revision, const volatile int *cancel)
{
    *listing = (ft_hub_listing){.kind = kind};
    size_t n = strcspn(id, "@");
    if (!ft_hub_is_id(id)) return ft_error(FT_E_USAGE, "%s: not an id of the hub (ORG/NAME or ORG/NAME@REVISION)", id);
    if (id[n]) revision = id + n + 1;
    if (revision == NULL) revision = "main";
    if (!ft_hub_is_plain_path(revision)) return ft_error(FT_E_USAGE, "%s: '%s' is not a revision", id, revision);
    listing->repository = ft_strndup(id, n);
    listing->revision = ft_strdup(revision);
    ft_status status = listing->repository && listing->revision ? FT_OK : FT_E_NOMEM;
    ft_hub_subject subject = ft_hub_subject_of(listing, NULL);
    if (status == FT_OK) status = ft_hub_offline() ? ft_hub_refuse_offline(&subject) : fill(listing, cancel);
    if (status != FT_OK) ft_hub_listing_free(listing);
    return status;
}

void ft_hub_listing_free(ft_hub_listing *listing)
{
    for (int i = 0; i < listing->n_files; i++) ft_free(listing->files[i].path);
    ft_free(listing->files);
    ft_free(listing->repository);
    ft_free(listing->revision);
    ft_free(listing->commit);
    ft_hub_client_close(listing->client);
    *listing = (ft_hub_listing){0};
}

const ft_hub_file *ft_hub_listing_find(const ft_hub_listing *listing, const char *path)
{
    ft_hub_file key = {.path = (char *)path};
    return listing->n_files ? bsearch(&key, listing->files, (size_t)listing->n_files, sizeof key, by_path) : NULL;
}
