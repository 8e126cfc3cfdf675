#include "common/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum { MAX_WORD = 64 };  // longest word ft_nearest_word compares

// The power of 1024 of a unit after the number ("", "K", "MB", "GiB", ...), or -1.
static int unit_power(const char *unit)
{
    static const char prefixes[] = "KMGT";
    int power = 0;
    const char *prefix = *unit ? strchr(prefixes, toupper((unsigned char)*unit)) : NULL;
    if (prefix != NULL) {
        power = (int)(prefix - prefixes) + 1;
        unit++;
        if (strcmp(unit, "iB") == 0) return power;
    }
    return *unit == 0 || strcmp(unit, "B") == 0 ? power : -1;
}

// whole + numerator / denominator, exactly.
typedef struct {
    int64_t whole;
    uint64_t numerator, denominator;
} decimal;

// "12" or "1.5". *rest is the text after it; false on overflow or a missing digit. Digits past the 18th after the point are
// worth less than a byte of any unit and are dropped.
static bool parse_decimal(const char *text, decimal *number, const char **rest)
{
    *number = (decimal){.denominator = 1};
    if (!isdigit((unsigned char)*text)) return false;
    for (; isdigit((unsigned char)*text); text++) {
        if (__builtin_mul_overflow(number->whole, 10, &number->whole)) return false;
        if (__builtin_add_overflow(number->whole, *text - '0', &number->whole)) return false;
    }
    if (*text == '.' && !isdigit((unsigned char)*++text)) return false;
    for (; isdigit((unsigned char)*text); text++) {
        if (number->denominator >= UINT64_C(1000000000000000000)) continue;
        number->numerator = number->numerator * 10 + (uint64_t)(*text - '0');
        number->denominator *= 10;
    }
    *rest = text;
    return true;
}

ft_status ft_parse_bytes(const char *text, int64_t *bytes)
{
    decimal number;
    int64_t value;
    const char *unit = text;
    int power = -1;
    if (parse_decimal(text, &number, &unit)) power = unit_power(unit + strspn(unit, " "));
    if (power < 0 || (power == 0 && number.numerator > 0)) {
        return ft_error(FT_E_USAGE, "\"%s\" is not a size: write a number of bytes, or one with K, M, G or T as in 1.5G", text);
    }
    int64_t scale = INT64_C(1) << (10 * power);
    int64_t part = (int64_t)((unsigned __int128)number.numerator * (uint64_t)scale / number.denominator);
    if (__builtin_mul_overflow(number.whole, scale, &value) || __builtin_add_overflow(value, part, &value)) {
        return ft_error(FT_E_USAGE, "\"%s\" is more than 2^63 - 1 bytes", text);
    }
    *bytes = value;
    return FT_OK;
}

char *ft_human_bytes(char buffer[FT_HUMAN_BYTES], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int power = 0;
    double value = bytes;
    for (; power < 4 && fabs(value) >= 1024; power++) value /= 1024;
    snprintf(buffer, FT_HUMAN_BYTES, power > 0 ? "%.2f %s" : "%.0f %s", value, units[power]);
    return buffer;
}

char *ft_human_seconds(char buffer[FT_HUMAN_BYTES], double seconds)
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        snprintf(buffer, FT_HUMAN_BYTES, "?");
    } else if (seconds < 9.95) {
        snprintf(buffer, FT_HUMAN_BYTES, "%.1fs", seconds);
    } else {
        long long s = llround(seconds);
        if (s < 60) snprintf(buffer, FT_HUMAN_BYTES, "%llds", s);
        else if (s < 3600) snprintf(buffer, FT_HUMAN_BYTES, "%lldm %02llds", s / 60, s % 60);
        else if (s < 86400) snprintf(buffer, FT_HUMAN_BYTES, "%lldh %02lldm", s / 3600, s / 60 % 60);
        else snprintf(buffer, FT_HUMAN_BYTES, "%lldd %02lldh", s / 86400, s / 3600 % 24);
    }
    return buffer;
}

// Letters that people take for each other are one letter here.
static int fold(char c)
{
    return c == '-' ? '_' : tolower((unsigned char)c);
}

static int smallest(int a, int b, int c)
{
    int least = a < b ? a : b;
    return least < c ? least : c;
}

// Optimal string alignment distance (Damerau-Levenshtein without editing a swapped pair again).
static int edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int rows[3][MAX_WORD + 1];  // distances of the last three prefixes of a to every prefix of b
    int *before = rows[0], *previous = rows[1], *current = rows[2];
    for (size_t j = 0; j <= b_length; j++) previous[j] = (int)j;
    for (size_t i = 1; i <= a_length; i++) {
        current[0] = (int)i;
        for (size_t j = 1; j <= b_length; j++) {
            int replace = previous[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));
            current[j] = smallest(previous[j] + 1, current[j - 1] + 1, replace);
            bool swapped = i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]);
            if (swapped && before[j - 2] + 1 < current[j]) current[j] = before[j - 2] + 1;
        }
        int *oldest = before;
        before = previous;
        previous = current;
        current = oldest;
    }
    return previous[b_length];
}

const char *ft_nearest_word(const char *word, const char *const *candidates, size_t n)
{
    size_t length = strlen(word);
    if (length > MAX_WORD) return NULL;
    int least = (length >= 3 ? (int)length / 3 : 1) + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t candidate_length = strlen(candidates[i]);
        int distance = candidate_length > MAX_WORD ? least : edit_distance(word, length, candidates[i], candidate_length);
        if (distance >= least) continue;
        least = distance;
        nearest = candidates[i];
    }
    return nearest;
}

bool ft_names_have(const char *names, const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || strchr(name, ',') != NULL) return false;
    for (const char *at = names; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == 0)) return true;
    }
    return false;
}

static ft_status reserve(ft_text *text, size_t more)
{
    size_t needed = text->length + more + 1, capacity = text->capacity ? text->capacity : 64;
    if (needed <= text->capacity) return FT_OK;
    while (capacity < needed) capacity *= 2;
    char *data = ft_realloc(text->data, capacity);
    FT_ALLOC_CHECK(data);
    text->data = data;
    text->capacity = capacity;
    return FT_OK;
}

ft_status ft_text_add(ft_text *text, const char *bytes, size_t n)
{
    FT_TRY(reserve(text, n));
    if (n > 0) memcpy(text->data + text->length, bytes, n);
    text->length += n;
    text->data[text->length] = 0;
    return FT_OK;
}

ft_status ft_text_puts(ft_text *text, const char *literal)
{
    return ft_text_add(text, literal, strlen(literal));
}

ft_status ft_text_printf(ft_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    FT_ASSERT(n >= 0, "bad format");
    FT_TRY(reserve(text, (size_t)n));
    va_start(args, format);
    vsnprintf(text->data + text->length, (size_t)n + 1, format, args);
    va_end(args);
    text->length += (size_t)n;
    return FT_OK;
}

void ft_text_free(ft_text *text)
{
    ft_free(text->data);
    *text = (ft_text){0};
}

static size_t name_length(const char *name)
{
    if (isdigit((unsigned char)*name)) return 0;
    size_t n = 0;
    while (isalnum((unsigned char)name[n]) || name[n] == '_') n++;
    return n;
}

static ft_status add_variable(ft_text *out, const char *name, size_t length)
{
    char *copy = ft_strndup(name, length);
    FT_ALLOC_CHECK(copy);
    const char *value = getenv(copy);
    ft_status status = value ? ft_text_add(out, value, strlen(value))
                             : ft_error(FT_E_USAGE, "environment variable %s is not set: set it, or write $$ for a plain $", copy);
    ft_free(copy);
    return status;
}

// Expands what stands after a $; *at is moved past it.
static ft_status expand_one(ft_text *out, const char **at)
{
    const char *from = *at;
    bool brace = *from == '{';
    size_t length = name_length(from + brace);
    if (brace && (length == 0 || from[1 + length] != '}')) {
        return ft_error(FT_E_USAGE, "\"$%.40s\" is not a variable: write ${NAME}", from);
    }
    if (length == 0) {
        *at = from + (*from == '$');
        return ft_text_add(out, "$", 1);
    }
    *at = from + length + (brace ? 2 : 0);
    return add_variable(out, from + brace, length);
}

ft_status ft_expand_variables(const char *text, char **out)
{
    ft_text expanded = {0};
    ft_status status = FT_OK;
    while (status == FT_OK && *text) {
        size_t plain = strcspn(text, "$");
        status = ft_text_add(&expanded, text, plain);
        text += plain;
        if (status == FT_OK && *text == '$') {
            text++;
            status = expand_one(&expanded, &text);
        }
    }
    if (status == FT_OK) status = ft_text_add(&expanded, "", 0);
    if (status == FT_OK) *out = expanded.data;
    else ft_text_free(&expanded);
    return status;
}
