#include "io/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "io/engine_rows.h"

static const ft_io_engine_row end_of_table;

const ft_io_engine_row *const ft_io_engines[] = {
    &ft_io_uring_row, &ft_io_posix_row, &ft_io_null_row, &ft_io_fault_row, &end_of_table,
};

static const ft_io_engine_row *find_row(const char *name, size_t length)
{
    for (int i = 0; ft_io_engines[i]->name != NULL; i++) {
        const ft_io_engine_row *row = ft_io_engines[i];
        if (strlen(row->name) == length && memcmp(row->name, name, length) == 0) return row;
    }
    return NULL;
}

static ft_status unknown_engine(const char *name)
{
    char known[128] = "auto";
    for (int i = 0; ft_io_engines[i]->name != NULL; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, ", %s", ft_io_engines[i]->name);
    }
    return ft_error(FT_E_USAGE, "io-engine: \"%.64s\" is not an engine; choose one of %s", name, known);
}

static ft_status open_auto(ft_io_engine **engine, const ft_io_options *options)
{
    ft_status status = ft_io_uring_row.open(engine, options);
    if (status != FT_E_UNSUPPORTED) return status;
    ft_log_once(FT_LOG_WARNING, "io-engine", "%s; using the slower posix engine", ft_error_message());
    return ft_io_posix_row.open(engine, options);
}

ft_status ft_io_engine_open(ft_io_engine **engine, const char *name, const ft_io_options *options)
{
    FT_ASSERT(options->depth >= 1);
    *engine = NULL;
    if (strcmp(name, "auto") == 0) return open_auto(engine, options);
    size_t length = strcspn(name, ":");
    const ft_io_engine_row *row = find_row(name, length);
    if (row == NULL) return unknown_engine(name);
    ft_io_options own = {.depth = options->depth, .directory = options->directory, .spec = name[length] == ':' ? name + length + 1 : options->spec};
    if (own.spec != NULL && !(row->caps & FT_IO_CAP_SPEC))
        return ft_error(FT_E_USAGE, "io-engine: %s takes no text after its name, but got \"%.64s\"", row->name, own.spec);
    return row->open(engine, &own);
}

// False if the file system says that O_DIRECT needs coarser alignment than FT_IO_ALIGN, or has none for this file.
static bool direct_alignment_fits(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx info;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) != 0 || !(info.stx_mask & STATX_DIOALIGN)) return true;
    return info.stx_dio_mem_align != 0 && info.stx_dio_mem_align <= FT_IO_ALIGN && info.stx_dio_offset_align <= FT_IO_ALIGN;
#else
    (void)fd;
    return true;
#endif
}

// O_DIRECT is set on the open descriptor, not in open(): a refusal then leaves no second open with O_CREAT or O_EXCL to redo.
static bool set_direct(int fd)
{
    if (!direct_alignment_fits(fd)) return false;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_DIRECT) == 0;
}

int ft_io_open_file(const char *path, int flags, bool *direct)
{
    *direct = false;
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, 0644);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        ft_status status = errno == ENOENT ? FT_E_NOT_FOUND : FT_E_IO;
        return ft_error_errno(status, errno, "%s: cannot be opened", path);
    }
    *direct = set_direct(fd);
    if (!*direct)
        ft_log_once(FT_LOG_WARNING, "o-direct", "%s: no O_DIRECT on this file system; reads go through the page cache", path);
    return fd;
}
