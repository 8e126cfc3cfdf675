#include "io/hub_cache.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/hub_internal.h"

#define MAX_ID 160       // "ORG/NAME": the hub allows 96
#define MAX_REF_BYTES 256
#define MAX_DEPTH 8      // directories within a snapshot

// An id in its parts.
typedef struct {
    ft_hub_kind kind;
    char repository[MAX_ID];  // "ORG/NAME"
    const char *revision;     // NULL = main
} hub_id;

// ---- ids

static bool is_id_part(const char *text, size_t bytes)
{
    if (bytes == 0 || strchr("-.", text[0]) || strchr("-.", text[bytes - 1])) return false;
    for (size_t i = 0; i < bytes; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i])) return false;
        if (i && strchr("-.", text[i]) && text[i - 1] == text[i]) return false;  // "--" separates the parts of a directory's name
    }
    return true;
}

static bool is_file_name(const char *text)
{
    static const char *const ends[] = {".json", ".jsonl", ".parquet", ".csv", ".txt", ".gz", ".zst", ".arrow", ".yaml", ".yml",
                                       ".gguf", ".safetensors"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ft_name_ends_with(text, ends[i])) return true;
    return false;
}

bool ft_hub_is_id(const char *text)
{
    size_t bytes = strcspn(text, "@"), organisation = strcspn(text, "/");
    if (bytes >= MAX_ID || is_file_name(text) || (text[bytes] == '@' && text[bytes + 1] == 0)) return false;
    if (organisation >= bytes) return is_id_part(text, bytes);
    return is_id_part(text, organisation) && is_id_part(text + organisation + 1, bytes - organisation - 1);
}

static hub_id parse_id(ft_hub_kind kind, const char *text, const char *revision)
{
    hub_id id = {.kind = kind, .revision = revision};
    size_t bytes = strcspn(text, "@");
    memcpy(id.repository, text, bytes);
    if (text[bytes]) id.revision = text + bytes + 1;
    return id;
}

// A revision, and a file of a listing, must not lead out of the cache.
bool ft_hub_is_plain_path(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (iscntrl(*c) || (c[0] == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0)) return false;
    for (const char *part = text;; part++) {
        size_t bytes = strcspn(part, "/");
        if (bytes == 0 || (part[0] == '.' && (bytes == 1 || (bytes == 2 && part[1] == '.')))) return false;
        part += bytes;
        if (*part == 0) return true;
    }
}

// ---- directories

char *ft_hub_repository_directory(const char *cache, ft_hub_kind kind, const char *repository)
{
    const char *prefix = kind == FT_HUB_DATASET ? "datasets" : "models", *slash = strchr(repository, '/');
    int organisation = slash ? (int)(slash - repository) : 0;
    return ft_format("%s/%s--%.*s%s%s", cache, prefix, organisation, repository, slash ? "--" : "", slash ? slash + 1 : repository);
}

// The commit that refs/REVISION holds, else the revision itself, which may be one. Heap.
static ft_status read_commit(const char *repository, const char *revision, char **commit)
{
    char *path = ft_format("%s/refs/%s", repository, revision), *text = NULL;
    FT_ALLOC_CHECK(path);
    size_t bytes;
    ft_status status = ft_file_read(path, MAX_REF_BYTES, &text, &bytes);
    ft_free(path);
    if (status == FT_E_NOMEM) return status;
    *commit = status == FT_OK ? ft_strndup(text, strcspn(text, " \t\r\n")) : ft_strdup(revision);
    ft_free(text);
    return *commit ? FT_OK : FT_E_NOMEM;
}

// ---- what is missing

static bool holds(const char *directory, const char *name)
{
    char *path = ft_path_join(directory, name);
    bool there = path && ft_path_exists(path);
    ft_free(path);
    return there;
}

static const char *missing_file(ft_hub_kind kind, const char *snapshot)
{
    static const char *const tokenizers[] = {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", NULL};
    static const char *const wanted[][2] = {[FT_HUB_MODEL] = {"config.json", NULL}, [FT_HUB_ADAPTER] = {"adapter_config.json", NULL}};
    if (kind == FT_HUB_DATASET) return NULL;
    const char *const *names = kind == FT_HUB_TOKENIZER ? tokenizers : wanted[kind];
    for (int i = 0; names[i]; i++)
        if (holds(snapshot, names[i])) return NULL;
    return names[0];
}

static ft_status find_dangling(const char *directory, int depth, char **name);

static ft_status check_entry(const char *directory, const char *entry, int depth, char **name)
{
    struct stat information;
    char *path = ft_path_join(directory, entry);
    FT_ALLOC_CHECK(path);
    ft_status status = FT_OK;
    if (stat(path, &information) != 0) {
        *name = ft_strdup(entry);
        status = *name ? FT_OK : FT_E_NOMEM;
    } else if (S_ISDIR(information.st_mode) && depth < MAX_DEPTH) {
        status = find_dangling(path, depth + 1, name);
    }
    ft_free(path);
    return status;
}

// The first file below `directory` that cannot be reached, heap; NULL if there is none.
static ft_status find_dangling(const char *directory, int depth, char **name)
{
    DIR *stream = opendir(directory);
    if (stream == NULL) return ft_error_errno(FT_E_IO, errno, "%s", directory);
    ft_status status = FT_OK;
    for (struct dirent *entry; status == FT_OK && *name == NULL && (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        status = check_entry(directory, entry->d_name, depth, name);
    }
    closedir(stream);
    return status;
}

// ---- messages

// The end of every message: what to do. `cache`: of another place than the one that is used by itself, NULL = that one.
static ft_status refuse(const hub_id *id, const char *cache, const char *what)
{
    const char *kind = id->kind == FT_HUB_DATASET ? "--dataset " : "", *revision = id->revision;
    return ft_error(FT_E_NOT_FOUND, "%s; download it with: %s%s%sft-single download %s%s%s%s", what, cache ? "HF_HUB_CACHE=" : "", cache ? cache : "",
                    cache ? " " : "", kind, id->repository, revision ? "@" : "", revision ? revision : "");
}

static ft_status refuse_format(const hub_id *id, const char *cache, char *what)
{
    FT_ALLOC_CHECK(what);
    ft_status status = refuse(id, cache, what);
    ft_free(what);
    return status;
}

static ft_status check_whole(const hub_id *id, const char *snapshot)
{
    char *dangling = NULL;
    const char *missing = missing_file(id->kind, snapshot);
    ft_status status = find_dangling(snapshot, 0, &dangling);
    if (status == FT_OK && dangling) status = refuse_format(id, NULL, ft_format("%s: incomplete in %s (%s leads nowhere)", id->repository, snapshot, dangling));
    else if (status == FT_OK && missing) status = refuse_format(id, NULL, ft_format("%s: incomplete in %s (no %s)", id->repository, snapshot, missing));
    ft_free(dangling);
    return status;
}

// ---- looking up

static ft_status check_snapshot(const hub_id *id, const char *cache, const char *snapshot)
{
    const char *what = id->kind == FT_HUB_DATASET ? "data set" : "model", *at = id->revision ? " at revision " : "";
    if (ft_path_is_directory(snapshot)) return check_whole(id, snapshot);
    return refuse_format(id, NULL, ft_format("%s: neither a path here nor a %s of the Hugging Face cache %s%s%s", id->repository, what, cache,
                                             at, id->revision ? id->revision : ""));
}

static ft_status find_snapshot(const hub_id *id, const char *cache, char **snapshot)
{
    const char *revision = id->revision ? id->revision : "main";
    char *commit = NULL, *repository = ft_hub_repository_directory(cache, id->kind, id->repository);
    ft_status status = repository ? read_commit(repository, revision, &commit) : FT_E_NOMEM;
    if (status == FT_OK && !ft_hub_is_plain_path(commit)) status = ft_error(FT_E_INPUT, "%s/refs/%s: does not hold a commit", repository, revision);
    if (status == FT_OK) {
        *snapshot = ft_format("%s/snapshots/%s", repository, commit);
        status = *snapshot ? check_snapshot(id, cache, *snapshot) : FT_E_NOMEM;
    }
    if (status != FT_OK) {
        ft_free(*snapshot);
        *snapshot = NULL;
    }
    ft_free(commit);
    ft_free(repository);
    return status;
}

static ft_status resolve(ft_hub_kind kind, const char *text, const char *revision, char **directory)
{
    hub_id id = parse_id(kind, text, revision);
    if (id.revision && !ft_hub_is_plain_path(id.revision)) return ft_error(FT_E_USAGE, "%s: '%s' is not a revision", id.repository, id.revision);
    char *cache = ft_hub_cache_directory();
    FT_ALLOC_CHECK(cache);
    ft_status status = find_snapshot(&id, cache, directory);
    ft_free(cache);
    return status;
}

// The component models--... or datasets--... of a path, NULL if it has none.
static const char *repository_component(const char *path, ft_hub_kind *kind)
{
    static const char *const prefixes[] = {"models--", "datasets--"};
    for (const char *part = path; *part; part += strcspn(part, "/"), part += *part == '/') {
        for (int i = 0; i < 2; i++) {
            if (strncmp(part, prefixes[i], strlen(prefixes[i])) != 0) continue;
            *kind = i ? FT_HUB_DATASET : *kind;
            return part + strlen(prefixes[i]);
        }
    }
    return NULL;
}

// CACHE/models--ORG--NAME/snapshots/COMMIT in its parts; false for any other path. `revision` is heap or NULL.
static bool parse_cache_path(const char *path, ft_hub_kind kind, hub_id *id, char **cache, char **revision)
{
    const char *name = repository_component(path, &kind);
    size_t bytes = name ? strcspn(name, "/") : 0;
    if (bytes == 0 || bytes >= MAX_ID) return false;
    *id = (hub_id){.kind = kind};
    memcpy(id->repository, name, bytes);
    char *dashes = strstr(id->repository, "--");
    if (dashes) {
        *dashes = '/';
        memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
    }
    const char *start = name - (kind == FT_HUB_DATASET ? strlen("datasets--") : strlen("models--")), *rest = name + bytes;
    *cache = ft_strndup(path, start > path ? (size_t)(start - path) - 1 : 0);
    *revision = strncmp(rest, "/snapshots/", 11) == 0 ? ft_strndup(rest + 11, strcspn(rest + 11, "/")) : NULL;
    id->revision = *revision;
    return ft_hub_is_id(id->repository);
}

static ft_status refuse_path(ft_hub_kind kind, const char *path)
{
    hub_id id;
    char *cache = NULL, *revision = NULL;
    ft_status status;
    if (parse_cache_path(path, kind, &id, &cache, &revision))
        status = refuse_format(&id, cache && cache[0] ? cache : NULL, ft_format("%s: no such directory", path));
    else status = ft_error(FT_E_NOT_FOUND, "%s: no such file or directory", path);
    ft_free(cache);
    ft_free(revision);
    return status;
}

ft_status ft_hub_locate(ft_hub_kind kind, const char *path_or_id, const char *revision, char **directory)
{
    *directory = NULL;
    if (!ft_path_exists(path_or_id)) return ft_hub_is_id(path_or_id) ? resolve(kind, path_or_id, revision, directory) : refuse_path(kind, path_or_id);
    *directory = ft_strdup(path_or_id);
    return *directory ? FT_OK : FT_E_NOMEM;
}

char *ft_hub_repository_id(const char *path)
{
    hub_id id;
    char *cache = NULL, *revision = NULL;
    bool found = parse_cache_path(path, FT_HUB_MODEL, &id, &cache, &revision);
    ft_free(cache);
    ft_free(revision);
    return found ? ft_strdup(id.repository) : NULL;
}
