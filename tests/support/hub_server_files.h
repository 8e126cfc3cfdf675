// The repositories of the hub for tests: a directory tree, and for each file what the hub says of it.
#ifndef FT_TESTS_SUPPORT_HUB_SERVER_FILES_H
#define FT_TESTS_SUPPORT_HUB_SERVER_FILES_H

#include "io/sha.h"

typedef struct {
    char *path;                // within the repository
    int64_t bytes, mtime_ns;
    bool large;
    char git[FT_SHA_TEXT];     // of the file, or of the pointer to a large one
    char sha256[FT_SHA_TEXT];  // of a large one
} served_file;

typedef struct {
    char *directory;           // on disk
    char commit[FT_SHA_TEXT];  // 40 digits
    served_file *files;        // sorted by path
    int n;
} served_repository;

// Reads ROOT/KIND/NAME as it is at `revision` ("main", NAME@REVISION, or the commit of one of them). false if there is no such
// repository (*found = false) or no such revision (*found = true).
bool served_repository_read(served_repository *repository, const char *root, const char *kind, const char *name, const char *revision, bool *found);
void served_repository_free(served_repository *repository);
const served_file *served_repository_find(const served_repository *repository, const char *path);

#endif
