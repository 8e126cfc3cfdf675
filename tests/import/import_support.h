// What the import tests share: the golden GGUF files, copies of them with changed bytes, and imports into a scratch directory.
#ifndef FT_TESTS_IMPORT_SUPPORT_H
#define FT_TESTS_IMPORT_SUPPORT_H

#include <dirent.h>
#include <jansson.h>

#include "import/import.h"
#include "io/gguf_support.h"
#include "io/safetensors.h"

#define GOLDEN "tests/golden/gguf/"

// One test's place: where it writes GGUF files, and the model directory it imports to.
typedef struct {
    char *directory, *gguf, *model;
} place;

static place here;

static inline int set_up(void **state)
{
    here.directory = support_directory();
    here.gguf = ft_path_join(here.directory, "x.gguf");
    here.model = ft_path_join(here.directory, "model");
    return 0;
}

static inline int tear_down(void **state)
{
    support_remove(here.directory);
    ft_free(here.gguf);
    ft_free(here.model);
    return 0;
}

static inline ft_status import_file(const char *gguf, ft_dtype dtype)
{
    ft_import_result result;
    return ft_import(&(ft_import_options){.input = gguf, .output = here.model, .dtype = dtype}, &result);
}

static inline void import_golden(const char *name, ft_dtype dtype)
{
    char *path = ft_format(GOLDEN "%s.gguf", name);
    assert_ok(import_file(path, dtype));
    ft_free(path);
}

// Entries of the scratch directory beside the GGUF file: what an import left behind.
static inline int left_behind(void)
{
    DIR *stream = opendir(here.directory);
    assert_non_null(stream);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "x.gguf") != 0) n++;
    }
    closedir(stream);
    return n;
}

static inline json_t *load_json(const char *file)
{
    char *path = strchr(file, '/') != NULL ? ft_strdup(file) : ft_path_join(here.model, file);
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, NULL);
    if (root == NULL) fail_msg("%s is no JSON", path);
    ft_free(path);
    return root;
}

// A golden file in memory, to be changed and written to here.gguf.
static inline void load_golden(const char *name, char **data, size_t *bytes)
{
    char *path = ft_format(GOLDEN "%s.gguf", name);
    assert_ok(ft_file_read(path, 16 << 20, data, bytes));
    ft_free(path);
}

static inline char *find_bytes(char *data, size_t bytes, const void *what, size_t n)
{
    char *at = memmem(data, bytes, what, n);
    assert_non_null(at);
    return at;
}

#endif
