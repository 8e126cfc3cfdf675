// Room on the drive, and a single file fetched to a path of its own.
#include <stdio.h>
#include <sys/statvfs.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/hub_fetch.h"

ft_status ft_hub_check_room(const ft_hub_item *items, int n, const char *directory, const char *name)
{
    struct statvfs disk;
    char missing[FT_HUMAN_BYTES];
    int64_t bytes = 0;
    for (int i = 0; i < n; i++) bytes += items[i].part.file->bytes - items[i].part.resumed;
    if (statvfs(directory, &disk) != 0) return FT_OK;  // the first write will tell
    int64_t room = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    if (bytes <= room) return FT_OK;
    return ft_error(FT_E_IO, "%s: does not fit in %s, %lld bytes (%s) are missing: make room there, or use a larger drive (HF_HOME)", name, directory,
                    (long long)(bytes - room), ft_human_bytes(missing, (double)(bytes - room)));
}

static ft_status finish(ft_hub_item *item)
{
    return ft_hub_part_finish(&item->part, item->target);
}

static ft_status fetch(const ft_hub_listing *listing, ft_hub_item *item, const ft_hub_options *options, const volatile int *cancel)
{
    char *directory = ft_path_parent(item->target);
    FT_ALLOC_CHECK(directory);
    ft_status status = ft_hub_check_room(item, 1, directory, item->part.file->path);
    ft_free(directory);
    return status == FT_OK ? ft_hub_fetch(listing, item, 1, options, cancel) : status;
}

ft_status ft_hub_fetch_file(const ft_hub_listing *listing, const ft_hub_file *file, const char *path, const ft_hub_options *options,
                            const volatile int *cancel)
{
    ft_hub_item item = {.target = ft_strdup(path), .finish = finish, .lock = -1};
    ft_status status = ft_hub_part_init(&item.part, file, ft_format("%s.part", path));
    if (status == FT_OK) status = item.target ? fetch(listing, &item, options, cancel) : FT_E_NOMEM;
    ft_hub_item_free(&item);
    return status;
}
