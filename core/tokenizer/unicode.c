#include "tokenizer/unicode.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static uint8_t classes[FT_CODE_POINTS];
static pthread_once_t classes_once = PTHREAD_ONCE_INIT;

static void fill_classes(void)
{
    for (int i = 0; i < ft_unicode_class_runs_n; i++) {
        uint32_t first = ft_unicode_class_runs[i].first;
        uint32_t end = i + 1 < ft_unicode_class_runs_n ? ft_unicode_class_runs[i + 1].first : FT_CODE_POINTS;
        memset(classes + first, ft_unicode_class_runs[i].value, end - first);
    }
}

const uint8_t *ft_unicode_classes(void)
{
    pthread_once(&classes_once, fill_classes);
    return classes;
}

uint8_t ft_unicode_combining(uint32_t code_point)
{
    int low = 0, high = ft_unicode_combining_runs_n;  // the run is in [low, high)
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (ft_unicode_combining_runs[middle].first <= code_point) low = middle;
        else high = middle;
    }
    return ft_unicode_combining_runs[low].value;
}

// Hangul syllables compose by arithmetic (The Unicode Standard, section 3.12).
enum { S_BASE = 0xAC00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11A7, L_COUNT = 19, V_COUNT = 21, T_COUNT = 28 };

static int decompose_hangul(uint32_t index, uint32_t out[FT_DECOMPOSITION_MAX])
{
    out[0] = L_BASE + index / (V_COUNT * T_COUNT);
    out[1] = V_BASE + index / T_COUNT % V_COUNT;
    out[2] = T_BASE + index % T_COUNT;
    return out[2] == T_BASE ? 2 : 3;
}

static int compare_parts(const void *key, const void *row)
{
    uint32_t a = *(const uint32_t *)key, b = ((const ft_unicode_parts *)row)->code_point;
    return a < b ? -1 : a > b;
}

int ft_unicode_decompose(uint32_t code_point, uint32_t out[FT_DECOMPOSITION_MAX])
{
    uint32_t tail[FT_DECOMPOSITION_MAX];
    int n_tail = 0;
    if (code_point - S_BASE < L_COUNT * V_COUNT * T_COUNT) return decompose_hangul(code_point - S_BASE, out);
    for (;;) {  // the second part never decomposes further, the first may
        const ft_unicode_parts *parts = bsearch(&code_point, ft_unicode_decompositions, (size_t)ft_unicode_decompositions_n,
                                                sizeof *parts, compare_parts);
        if (parts == NULL) break;
        FT_ASSERT(n_tail + 1 < FT_DECOMPOSITION_MAX);
        if (parts->second != 0) tail[n_tail++] = parts->second;
        code_point = parts->first;
    }
    int n = 0;
    out[n++] = code_point;
    while (n_tail > 0) out[n++] = tail[--n_tail];
    return n;
}

static int compare_pair(const void *key, const void *row)
{
    const ft_unicode_pair *a = key, *b = row;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return a->second < b->second ? -1 : a->second > b->second;
}

uint32_t ft_unicode_compose(uint32_t first, uint32_t second)
{
    if (first - L_BASE < L_COUNT && second - V_BASE < V_COUNT)
        return S_BASE + ((first - L_BASE) * V_COUNT + (second - V_BASE)) * T_COUNT;
    if (first - S_BASE < L_COUNT * V_COUNT * T_COUNT && (first - S_BASE) % T_COUNT == 0 && second - T_BASE - 1 < T_COUNT - 1)
        return first + (second - T_BASE);
    const ft_unicode_pair key = {first, second, 0};
    const ft_unicode_pair *pair =
        bsearch(&key, ft_unicode_compositions, (size_t)ft_unicode_compositions_n, sizeof key, compare_pair);
    return pair ? pair->composite : 0;
}
