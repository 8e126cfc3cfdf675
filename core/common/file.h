// Whole files and paths. Errors name the path. A missing file is FT_E_NOT_FOUND, what the system refuses FT_E_IO.
#ifndef FT_COMMON_FILE_H
#define FT_COMMON_FILE_H

#include "common/status.h"

char *ft_path_join(const char *directory, const char *name);  // heap string, NULL when out of memory
char *ft_path_parent(const char *path);                       // what the last component lies in, "." for a bare name; heap
const char *ft_path_base(const char *path);                   // last component, points into path (trailing slashes stay)
// The same of the first `length` bytes, without trailing slashes and "/.": `*bytes` of "b" in "a/b", "a/b/" and "a/b/."; 0 of "", "/"
// and ".".
const char *ft_path_last(const char *path, size_t length, size_t *bytes);
bool ft_name_ends_with(const char *name, const char *end);      // and is longer than it
bool ft_path_exists(const char *path);
bool ft_path_is_directory(const char *path);
ft_status ft_path_size(const char *path, int64_t *bytes);
// Before the work for a file that is named: FT_E_EXISTS if it is a directory, FT_E_NOT_FOUND if what it is to lie in is missing.
ft_status ft_path_expect_place(const char *path);
ft_status ft_make_directory(const char *path);    // the last component alone: FT_E_NOT_FOUND if what it is to lie in is missing
ft_status ft_make_directories(const char *path);  // like mkdir -p, mode 0777 & ~umask; FT_E_EXISTS if a file is in the way
// Like rm -rf: an absent path is success, links are removed and not followed. Refuses "", "/" and a last "." or "..".
ft_status ft_remove_tree(const char *path);
// Reads a file of at most max_bytes (FT_E_INPUT above that); *data is heap, NUL-terminated past the end.
ft_status ft_file_read(const char *path, size_t max_bytes, char **data, size_t *bytes);
// Plain write, fsync, close (no atomicity; io/commit.h has that).
ft_status ft_file_write(const char *path, const void *data, size_t bytes);

#endif
