// Parts of a file, straight into memory.
#include <string.h>

#include "common/memory.h"
#include "io/http_url.h"
#include "io/hub_internal.h"

char *ft_hub_resolve_address(const ft_hub_listing *listing, const ft_hub_file *file)
{
    char *path = ft_url_escape(file->path, false);
    char *address = path ? ft_format("%s/%s%s/resolve/%s/%s", listing->client->endpoint, listing->kind == FT_HUB_DATASET ? "datasets/" : "",
                                     listing->repository, listing->commit, path) : NULL;
    ft_free(path);
    return address;
}

typedef struct {
    char *dst;
    int64_t offset;
} target;

static ft_status copy(void *user, int64_t offset, const void *data, size_t n)
{
    const target *t = user;
    memcpy(t->dst + (offset - t->offset), data, n);
    return FT_OK;
}

ft_status ft_hub_read(const ft_hub_listing *listing, const ft_hub_file *file, int64_t offset, void *dst, int64_t bytes, const volatile int *cancel)
{
    FT_ASSERT(offset >= 0 && bytes >= 0 && offset + bytes <= file->bytes, "outside of %s", file->path);
    if (bytes == 0) return FT_OK;
    target t = {dst, offset};
    ft_hub_request r = {.client = listing->client, .subject = ft_hub_subject_of(listing, file), .file = (int)(file - listing->files), .entry = file,
                        .address = ft_hub_resolve_address(listing, file), .begin = offset, .end = offset + bytes, .sink = copy, .user = &t};
    ft_status status = ft_hub_request_run(&r, cancel);
    ft_hub_request_end(&r);
    return status;
}
