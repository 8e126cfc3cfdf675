#include "common/memory.h"
#include "tokenizer/tokenizer_impl.h"

ft_status ft_tokenizer_works_new(ft_tokenizer_works **works)
{
    *works = FT_NEW(ft_tokenizer_works);
    FT_ALLOC_CHECK(*works);
    pthread_mutex_init(&(*works)->lock, NULL);
    return FT_OK;
}

static void work_free(ft_tokenizer_work *work)
{
    ft_bpe_work_free(&work->bpe);
    ft_pretokenize_work_free(&work->pretokenize);
    ft_normalize_work_free(&work->normalize);
    ft_rewrite_free(&work->spaced);
    ft_free(work);
}

void ft_tokenizer_works_free(ft_tokenizer_works *works)
{
    if (works == NULL) return;
    while (works->idle != NULL) {
        ft_tokenizer_work *work = works->idle;
        works->idle = work->next;
        work_free(work);
    }
    pthread_mutex_destroy(&works->lock);
    ft_free(works);
}

static ft_status work_new(ft_tokenizer_work **work)
{
    *work = FT_NEW(ft_tokenizer_work);
    FT_ALLOC_CHECK(*work);
    ft_status status = ft_bpe_work_init(&(*work)->bpe);
    if (status == FT_OK) status = ft_pretokenize_work_init(&(*work)->pretokenize);
    if (status == FT_OK) return FT_OK;
    work_free(*work);
    *work = NULL;
    return status;
}

ft_status ft_tokenizer_work_take(ft_tokenizer_works *works, ft_tokenizer_work **work)
{
    pthread_mutex_lock(&works->lock);
    *work = works->idle;
    if (*work != NULL) works->idle = (*work)->next;
    pthread_mutex_unlock(&works->lock);
    return *work != NULL ? FT_OK : work_new(work);
}

void ft_tokenizer_work_give(ft_tokenizer_works *works, ft_tokenizer_work *work)
{
    pthread_mutex_lock(&works->lock);
    work->next = works->idle;
    works->idle = work;
    pthread_mutex_unlock(&works->lock);
}
