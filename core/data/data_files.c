#include "data/data_files.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"

#define FOLDER_DEPTH 2  // data/train; also bounds links that lead back

const char ft_data_file_kinds[] = ".jsonl, .ndjson, .json (each also .gz or .zst), .parquet";

static const char *const kinds[] = {".jsonl",    ".ndjson",    ".json",    ".jsonl.gz", ".ndjson.gz",
                                    ".json.gz",  ".jsonl.zst", ".ndjson.zst", ".json.zst", ".parquet"};
static const char *const descriptions[] = {"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"};

typedef struct {
    const char *root;
    ft_string_list relative;  // data files found, as paths from root
    ft_string_list others;    // folders of the root that do not count
} listing;

const char *ft_data_file_kind(const char *path)
{
    const char *base = ft_path_base(path);
    size_t n = strlen(base);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i]);
        if (n > length && strcasecmp(base + n - length, kinds[i]) == 0) return kinds[i];
    }
    return NULL;
}

static bool is_description(const char *name)
{
    for (size_t i = 0; i < sizeof descriptions / sizeof *descriptions; i++) {
        if (strcmp(name, descriptions[i]) == 0) return true;
    }
    return false;
}

static ft_status folder_counts(const char *name, bool *counts)
{
    char *split;
    FT_TRY(ft_data_split_of(name, &split));
    *counts = strcmp(name, "data") == 0 || split != NULL;
    ft_free(split);
    return FT_OK;
}

static ft_status scan_folder(listing *files, const char *folder, int depth);

static ft_status scan_entry(listing *files, const char *relative, const char *name, int depth)
{
    struct stat about;
    char *path = ft_path_join(files->root, relative);
    FT_ALLOC_CHECK(path);
    int failed = stat(path, &about) == 0 ? 0 : errno;
    ft_free(path);
    bool data = ft_data_file_kind(name) != NULL && !is_description(name), folder = false;
    if (failed && !data) return FT_OK;
    if (failed) return ft_error_errno(FT_E_INPUT, failed, "%s/%s: a data file that cannot be reached", files->root, relative);
    if (S_ISDIR(about.st_mode)) {
        FT_TRY(folder_counts(name, &folder));
        if (!folder) return depth == 0 ? ft_string_list_add(&files->others, name) : FT_OK;
        return depth < FOLDER_DEPTH ? scan_folder(files, relative, depth + 1) : FT_OK;
    }
    return data && S_ISREG(about.st_mode) ? ft_string_list_add(&files->relative, relative) : FT_OK;
}

static ft_status scan_entries(listing *files, DIR *handle, const char *folder, int depth)
{
    for (struct dirent *entry = readdir(handle); entry != NULL; entry = readdir(handle)) {
        if (entry->d_name[0] == '.') continue;
        char *relative = *folder ? ft_path_join(folder, entry->d_name) : ft_strdup(entry->d_name);
        FT_ALLOC_CHECK(relative);
        ft_status status = scan_entry(files, relative, entry->d_name, depth);
        ft_free(relative);
        FT_TRY(status);
    }
    return FT_OK;
}

static ft_status scan_folder(listing *files, const char *folder, int depth)
{
    char *path = ft_path_join(files->root, folder);
    FT_ALLOC_CHECK(path);
    DIR *handle = opendir(path);
    ft_status status = handle ? scan_entries(files, handle, folder, depth)
                              : ft_error_errno(FT_E_INPUT, errno, "%s: the directory cannot be read", path);
    if (handle != NULL) closedir(handle);
    ft_free(path);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort(ft_string_list *list)
{
    if (list->n > 1) qsort(list->items, (size_t)list->n, sizeof *list->items, by_name);
}

static bool contains(const ft_string_list *list, const char *text)
{
    for (int i = 0; i < list->n; i++) {
        if (strcmp(list->items[i], text) == 0) return true;
    }
    return false;
}

// Keeps the files of the split. `splits` collects the names of all there are.
static ft_status filter(const listing *files, const char *split, ft_string_list *kept, ft_string_list *splits)
{
    for (int i = 0; i < files->relative.n; i++) {
        char *of;
        FT_TRY(ft_data_split_of(files->relative.items[i], &of));
        ft_status status = FT_OK;
        if (of != NULL && strcmp(of, split) == 0) status = ft_string_list_add(kept, files->relative.items[i]);
        if (status == FT_OK && of != NULL && !contains(splits, of)) status = ft_string_list_add(splits, of);
        ft_free(of);
        FT_TRY(status);
    }
    return FT_OK;
}

// "a, b, c", sorted; of long names the beginning.
static ft_status join(ft_string_list *list, ft_text *text)
{
    sort(list);
    for (int i = 0; i < list->n; i++) FT_TRY(ft_text_printf(text, "%s%.60s", i ? ", " : "", list->items[i]));
    return FT_OK;
}

static ft_status no_files(listing *files)
{
    ft_text names = {0};
    ft_status status = join(&files->others, &names);
    if (status == FT_OK)
        status = ft_error(FT_E_INPUT, "dataset %s: no data files in it, its data folder or folders named by a split (%s)%s%.300s",
                          files->root, ft_data_file_kinds, files->others.n ? "; it has the folders " : "",
                          names.data ? names.data : "");
    ft_text_free(&names);
    return status;
}

static ft_status no_split(const char *path, const char *split, ft_string_list *splits)
{
    ft_text names = {0};
    ft_status status = join(splits, &names);
    if (status == FT_OK) status = ft_error(FT_E_INPUT, "dataset %s: no split '%s'; there is %.600s; set split or data_files", path, split, names.data);
    ft_text_free(&names);
    return status;
}

static ft_status only_train(const char *path, const char *split, const char *what)
{
    if (strcmp(split, "train") == 0) return FT_OK;
    return ft_error(FT_E_INPUT, "dataset %s: no split '%s'; %s is one split, train", path, split, what);
}

static ft_status choose_split(const listing *files, const char *split, ft_string_list *kept, ft_string_list *splits)
{
    FT_TRY(filter(files, split, kept, splits));
    if (splits->n > 0) return kept->n > 0 ? FT_OK : no_split(files->root, split, splits);
    FT_TRY(only_train(files->root, split, "a directory whose files name none"));
    for (int i = 0; i < files->relative.n; i++) FT_TRY(ft_string_list_add(kept, files->relative.items[i]));
    return FT_OK;
}

// Two kinds are most often the same records twice.
static ft_status check_kinds(const char *path, const ft_string_list *files)
{
    for (int i = 0; i < files->n; i++) {
        if (ft_data_file_kind(files->items[i]) == NULL)
            return ft_error(FT_E_UNSUPPORTED, "dataset %s: no reader for %s; there are readers for %s", path, files->items[i],
                            ft_data_file_kinds);
        if (ft_data_file_kind(files->items[i]) != ft_data_file_kind(files->items[0]))
            return ft_error(FT_E_INPUT, "dataset %s: files of two kinds, %s and %s; choose one with data_files", path,
                            files->items[0], files->items[i]);
    }
    return FT_OK;
}

static ft_status add_joined(const char *root, const ft_string_list *relative, ft_string_list *out)
{
    for (int i = 0; i < relative->n; i++) {
        char *path = ft_path_join(root, relative->items[i]);
        FT_ALLOC_CHECK(path);
        ft_status status = ft_string_list_add(out, path);
        ft_free(path);
        FT_TRY(status);
    }
    return FT_OK;
}

static ft_status list_directory(const char *path, const char *split, ft_string_list *out)
{
    listing files = {.root = path};
    ft_string_list kept = {0}, splits = {0};
    ft_status status = scan_folder(&files, "", 0);
    if (status == FT_OK && files.relative.n == 0) status = no_files(&files);
    if (status == FT_OK) status = choose_split(&files, split, &kept, &splits);
    sort(&kept);
    if (status == FT_OK) status = check_kinds(path, &kept);
    if (status == FT_OK) status = add_joined(path, &kept, out);
    ft_string_list_free(&files.relative);
    ft_string_list_free(&files.others);
    ft_string_list_free(&kept);
    ft_string_list_free(&splits);
    return status;
}

// path/pattern with the path's own special characters escaped; heap.
static ft_status full_pattern(const char *path, const char *pattern, ft_text *full)
{
    for (const char *c = path; *c; c++) FT_TRY(ft_text_printf(full, strchr("*?[]\\", *c) ? "\\%c" : "%c", *c));
    return ft_text_printf(full, "/%s", pattern);
}

// An absolute pattern, or ".." as a component, could name what lies outside.
static bool leaves(const char *pattern)
{
    if (*pattern == '/') return true;
    for (; *pattern; pattern += strcspn(pattern, "/"), pattern += *pattern == '/') {
        if (strncmp(pattern, "..", 2) == 0 && (pattern[2] == 0 || pattern[2] == '/')) return true;
    }
    return false;
}

static ft_status matches(const char *path, const char *pattern, ft_string_list *kept)
{
    ft_text full = {0};
    glob_t found = {0};
    ft_status status = full_pattern(path, pattern, &full);
    if (status == FT_OK && glob(full.data, 0, NULL, &found) == GLOB_NOSPACE) status = ft_error(FT_E_NOMEM, "out of memory");
    for (size_t i = 0; i < found.gl_pathc && status == FT_OK; i++) {
        if (!ft_path_is_directory(found.gl_pathv[i])) status = ft_string_list_add(kept, found.gl_pathv[i]);
    }
    globfree(&found);
    ft_text_free(&full);
    return status;
}

static ft_status list_named(const char *path, const char *pattern, ft_string_list *out)
{
    ft_string_list kept = {0};
    if (leaves(pattern))
        return ft_error(FT_E_INPUT, "dataset %s: data_files '%s' leads out of the directory", path, pattern);
    ft_status status = matches(path, pattern, &kept);
    if (status == FT_OK && kept.n == 0)
        status = ft_error(FT_E_INPUT, "dataset %s: data_files '%s' names no file in it", path, pattern);
    sort(&kept);
    if (status == FT_OK) status = check_kinds(path, &kept);
    for (int i = 0; i < kept.n && status == FT_OK; i++) status = ft_string_list_add(out, kept.items[i]);
    ft_string_list_free(&kept);
    return status;
}

static ft_status list_file(const char *path, const char *split, const char *data_files, ft_string_list *out)
{
    if (data_files != NULL && *data_files != 0)
        return ft_error(FT_E_INPUT, "dataset %s is a file, in which 'data_files: %s' names nothing", path, data_files);
    if (ft_data_file_kind(path) == NULL)
        return ft_error(FT_E_UNSUPPORTED, "dataset %s: no reader for this kind of file; there are readers for %s", path,
                        ft_data_file_kinds);
    if (strcmp(split, "train") != 0)
        return ft_error(FT_E_INPUT, "dataset %s is a file, which has no split '%s'; name the file of that split", path, split);
    return ft_string_list_add(out, path);
}

ft_status ft_data_files_list(const char *path, const char *split, const char *data_files, ft_string_list *out)
{
    split = split && *split ? ft_data_split_canonical(split) : "train";
    if (strpbrk(split, "[]+%:") != NULL)
        return ft_error(FT_E_UNSUPPORTED, "dataset %s: split '%s': slices and sums of splits are not implemented", path, split);
    if (!ft_path_exists(path))
        return ft_error(FT_E_NOT_FOUND, "dataset %s: no such file or directory; data is read from local files: %s", path,
                        ft_data_file_kinds);
    if (!ft_path_is_directory(path)) return list_file(path, split, data_files, out);
    if (data_files == NULL || *data_files == 0) return list_directory(path, split, out);
    FT_TRY(only_train(path, split, "what data_files names"));
    return list_named(path, data_files, out);
}
