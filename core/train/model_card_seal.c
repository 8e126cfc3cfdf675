// The last line of a card: <!-- ft-single HASH: ... -->, HASH = XXH3-128 of everything before the line.
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/hash.h"
#include "train/model_card.h"

#define BEGIN "<!-- ft-single "
#define END ": written by the run; edit this file, and no later save replaces it -->\n"
#define SEAL_BYTES (sizeof BEGIN - 1 + FT_HASH_TEXT - 1 + sizeof END - 1)
#define MAX_CARD ((size_t)16 << 20)

ft_status ft_model_card_seal(ft_text *card)
{
    char hash[FT_HASH_TEXT];
    return ft_text_printf(card, BEGIN "%s" END, ft_hash128_text(ft_hash128_of(card->data, card->length), hash));
}

bool ft_model_card_is_sealed(const char *text, size_t bytes)
{
    char hash[FT_HASH_TEXT];
    if (bytes <= SEAL_BYTES) return false;
    const char *seal = text + bytes - SEAL_BYTES;
    ft_hash128_text(ft_hash128_of(text, bytes - SEAL_BYTES), hash);
    return memcmp(seal, BEGIN, sizeof BEGIN - 1) == 0 && memcmp(seal + sizeof BEGIN - 1, hash, FT_HASH_TEXT - 1) == 0;
}

ft_status ft_model_card_read(const char *directory, char **text, size_t *bytes)
{
    *text = NULL;
    char *path = ft_path_join(directory, FT_MODEL_CARD);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_path_exists(path) ? ft_file_read(path, MAX_CARD, text, bytes) : FT_OK;
    ft_free(path);
    return status;
}

ft_status ft_model_card_edited(const char *directory, char **text, size_t *bytes)
{
    FT_TRY(ft_model_card_read(directory, text, bytes));
    if (*text == NULL || !ft_model_card_is_sealed(*text, *bytes)) return FT_OK;
    ft_free(*text);
    *text = NULL;
    return FT_OK;
}
