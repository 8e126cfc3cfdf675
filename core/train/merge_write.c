// A shard: written tensor by tensor, synced, opened again and compared.
#include <fcntl.h>
#include <string.h>

#include "common/memory.h"
#include "train/merge_internal.h"

ft_status ft_merge_advance(merge *m, int64_t bytes)
{
    m->moved += (double)bytes;
    ft_progress_update(&m->progress, m->moved);
    return m->options->stop && *m->options->stop ? ft_error(FT_E_STOPPED, "merge stopped; nothing was written to %s", m->options->output)
                                                 : FT_OK;
}

static int64_t block_bytes(const merge *m)
{
    return m->buffers.block_elements * (int64_t)sizeof(float);
}

static ft_status copy_tensor(merge *m, const merge_item *item, ft_safetensors_writer *writer, ft_hasher *hasher)
{
    int64_t most = block_bytes(m);
    for (int64_t at = 0; at < item->info->bytes; at += most) {
        int64_t n = item->info->bytes - at < most ? item->info->bytes - at : most;
        FT_TRY(ft_model_files_read(&m->source, item->info, at, n, m->buffers.in));
        ft_hasher_add(hasher, m->buffers.in, (size_t)n);
        FT_TRY(ft_safetensors_write(writer, m->buffers.in, n));
        FT_TRY(ft_merge_advance(m, n));
    }
    return FT_OK;
}

static ft_status write_item(merge *m, merge_item *item, ft_safetensors_writer *writer)
{
    ft_hasher *hasher;
    FT_TRY(ft_hasher_new(&hasher));
    ft_status status = item->adapted >= 0                 ? ft_merge_tensor(m, item, writer, hasher)
                       : item->dtype != item->info->dtype ? ft_merge_dequantize(m, item, writer, hasher)
                                                          : copy_tensor(m, item, writer, hasher);
    item->hash = ft_hasher_finish(hasher);
    ft_hasher_free(hasher);
    return status;
}

static ft_status write_shard(merge *m, const ft_model_shard *shard, ft_safetensors_writer *writer)
{
    FT_TRY(ft_safetensors_metadata_add(writer, "format", "pt"));
    for (int64_t i = shard->begin; i < shard->end; i++) {
        const ft_tensor_info *info = m->items[i].info;
        FT_TRY(ft_safetensors_declare(writer, info->name, m->items[i].dtype, info->rank, info->shape));
    }
    FT_TRY(ft_safetensors_begin(writer));
    for (int64_t i = shard->begin; i < shard->end; i++) FT_TRY(write_item(m, &m->items[i], writer));
    return ft_safetensors_finish(writer, true);
}

static bool is_item(const ft_tensor_info *written, const merge_item *item)
{
    const ft_tensor_info *source = item->info;
    return strcmp(written->name, source->name) == 0 && written->dtype == item->dtype && written->rank == source->rank &&
           memcmp(written->shape, source->shape, (size_t)source->rank * sizeof source->shape[0]) == 0;
}

static ft_status hash_tensor(merge *m, const ft_safetensors *file, const ft_tensor_info *info, ft_hash128 *hash)
{
    ft_hasher *hasher;
    int64_t most = block_bytes(m);
    FT_TRY(ft_hasher_new(&hasher));
    ft_status status = FT_OK;
    for (int64_t at = 0; at < info->bytes && status == FT_OK; at += most) {
        int64_t n = info->bytes - at < most ? info->bytes - at : most;
        status = ft_safetensors_read(file, info, at, n, m->buffers.in);
        if (status == FT_OK) ft_hasher_add(hasher, m->buffers.in, (size_t)n);
        if (status == FT_OK) status = ft_merge_advance(m, n);
    }
    *hash = ft_hasher_finish(hasher);
    ft_hasher_free(hasher);
    return status;
}

// Empty tensors share an offset with their neighbour, so the order in the file need not be the order of writing.
static ft_status check_item(merge *m, const ft_safetensors *file, const merge_item *item)
{
    ft_hash128 hash;
    const ft_tensor_info *info = ft_safetensors_find(file, item->info->name);
    if (info == NULL || !is_item(info, item))
        return ft_error(FT_E_CORRUPT, "%s: %.160s is not there as it was written", file->path, item->info->name);
    FT_TRY(hash_tensor(m, file, info, &hash));
    if (ft_hash128_equal(hash, item->hash)) return FT_OK;
    return ft_error(FT_E_CORRUPT, "%s: %.160s reads back other bytes than were written: the drive is not to be trusted", file->path,
                    item->info->name);
}

static ft_status check_shard(merge *m, const ft_model_shard *shard, const char *path)
{
    ft_safetensors file;
    FT_TRY(ft_safetensors_open(&file, path));
    // The pages are clean by now: dropped, they are read from the drive.
    posix_fadvise(file.fd, 0, 0, POSIX_FADV_DONTNEED);
    ft_status status = FT_OK;
    for (int64_t i = shard->begin; i < shard->end && status == FT_OK; i++) status = check_item(m, &file, &m->items[i]);
    ft_safetensors_close(&file);
    return status;
}

ft_status ft_merge_write_shard(merge *m, const ft_model_shard *shard)
{
    ft_safetensors_writer *writer = NULL;
    char *path = ft_commit_path(&m->commit, shard->name);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_safetensors_create(&writer, path);
    if (status == FT_OK) status = write_shard(m, shard, writer);
    ft_safetensors_discard(writer);
    if (status == FT_OK) status = check_shard(m, shard, path);
    ft_free(path);
    return status;
}
