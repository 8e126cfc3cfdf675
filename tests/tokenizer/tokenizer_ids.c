// For tests/golden/tokenizers/parity.py: tokenizer_ids TOKENIZER TEXTS IDS [plain]. TEXTS holds texts as (uint32 bytes, bytes);
// IDS becomes their ids as (uint32 n, int32 ids). Prints {"bytes", "ids", "seconds"}: processor time of ft_tokenize alone, one
// thread. Every text is then tokenized with ends, which must give the same ids and ends in order.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/file.h"
#include "common/memory.h"
#include "tokenizer/tokenizer.h"

static void must(ft_status status)
{
    if (status == FT_OK) return;
    fprintf(stderr, "%s\n", ft_error_message());
    exit(ft_status_exit_code(status));
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check_ends(const ft_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags, const ft_ids *ids)
{
    ft_ids again = {0};
    ft_ends ends = {0};
    must(ft_tokenize_ends(tokenizer, text, bytes, flags, &again, &ends));
    bool same = again.n == ids->n && ends.n == ids->n && (ids->n == 0 || memcmp(again.items, ids->items, (size_t)ids->n * 4) == 0);
    for (int64_t i = 0; i < ends.n; i++) same &= ends.items[i] >= (i > 0 ? ends.items[i - 1] : 0);
    if (ends.n > 0) same &= ends.items[ends.n - 1] <= (int64_t)bytes;
    if (!same) must(ft_error(FT_E_INTERNAL, "ends differ for the text '%.60s'", text));
    ft_ids_free(&again);
    ft_ends_free(&ends);
}

int main(int argc, char **argv)
{
    if (argc < 4) return 2;
    unsigned flags = argc > 4 && strcmp(argv[4], "plain") == 0 ? 0 : FT_TOKENIZE_SPECIAL;
    ft_tokenizer *tokenizer;
    ft_ids ids = {0};
    char *texts;
    size_t total, n;
    double spent = 0, opening = seconds();
    int64_t count = 0;
    must(ft_tokenizer_open(&tokenizer, argv[1]));
    opening = seconds() - opening;
    must(ft_file_read(argv[2], (size_t)4 << 30, &texts, &total));
    FILE *out = fopen(argv[3], "wb");
    if (out == NULL) return 1;
    for (size_t at = 0; at < total; at += n) {
        uint32_t length;
        memcpy(&length, texts + at, 4);
        at += 4;
        n = length;
        ids.n = 0;
        double begin = seconds();
        must(ft_tokenize(tokenizer, texts + at, n, flags, &ids));
        spent += seconds() - begin;
        uint32_t written = (uint32_t)ids.n;
        fwrite(&written, 4, 1, out);
        fwrite(ids.items, 4, written, out);
        check_ends(tokenizer, texts + at, n, flags, &ids);
        count += ids.n;
    }
    fclose(out);
    printf("{\"bytes\": %zu, \"ids\": %lld, \"seconds\": %.4f, \"open_seconds\": %.3f}\n", total, (long long)count, spent, opening);
    ft_ids_free(&ids);
    ft_tokenizer_free(tokenizer);
    ft_free(texts);
    return 0;
}
