// One tokenizer serves many threads, with the ids one thread gets.
#include <pthread.h>

#include "data/t_data.h"

#define THREADS 4
#define TEXTS 200

static ft_tokenizer *tokenizer;
static char texts[TEXTS][64];
static ft_ids expected[TEXTS];

static void *tokenize_all(void *failures)
{
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < TEXTS; i++) {
            ft_ids ids = {0};
            bool same = ft_tokenize(tokenizer, texts[i], strlen(texts[i]), FT_TOKENIZE_BOS, &ids) == FT_OK &&
                        ids.n == expected[i].n && memcmp(ids.items, expected[i].items, (size_t)ids.n * sizeof *ids.items) == 0;
            if (!same) ++*(int *)failures;
            ft_ids_free(&ids);
        }
    }
    return NULL;
}

static void threads_get_the_ids_of_one_thread(void **state)
{
    pthread_t threads[THREADS];
    int failures[THREADS] = {0};
    uint64_t seed = 1;
    tokenizer = t_tokenizer("llama3");
    for (int i = 0; i < TEXTS; i++) {
        snprintf(texts[i], sizeof texts[i], "layer %u of the %u streamers isn't", t_random(&seed), t_random(&seed) % 50);
        expected[i] = t_ids(tokenizer, texts[i], FT_TOKENIZE_BOS);
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, tokenize_all, &failures[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failures[i], 0);
    }
    for (int i = 0; i < TEXTS; i++) ft_ids_free(&expected[i]);
    ft_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_get_the_ids_of_one_thread)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
