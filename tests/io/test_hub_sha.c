// SHA-1 and SHA-256 against the examples of FIPS 180-4 and the system's own programs, in pieces of any size, by every variant.
#include "support.h"

#include "io/sha.h"

static void check(ft_sha_kind kind, const char *text, size_t repeat, const char *expected)
{
    ft_sha sha;
    char hex[FT_SHA_TEXT];
    ft_sha_begin(&sha, kind);
    for (size_t i = 0; i < repeat; i++) ft_sha_add(&sha, text, strlen(text));
    assert_string_equal(ft_sha_finish(&sha, hex), expected);
}

static void known_vectors_hold(void **state)
{
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    check(FT_SHA1, "", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check(FT_SHA1, "abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d");
    check(FT_SHA1, two, 1, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    check(FT_SHA1, "a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    check(FT_SHA256, "", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check(FT_SHA256, "abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(FT_SHA256, two, 1, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check(FT_SHA256, "a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void by_program(const char *program, const char *path, char hex[FT_SHA_TEXT])
{
    char command[512];
    snprintf(command, sizeof command, "%s %s", program, path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%64s", hex), 1);
    assert_int_equal(pclose(pipe), 0);
}

static void lengths_around_a_block_equal_the_systems_programs(void **state)
{
    static const struct {
        ft_sha_kind kind;
        const char *program;
    } kinds[] = {{FT_SHA1, "sha1sum"}, {FT_SHA256, "sha256sum"}};
    static const size_t lengths[] = {1, 55, 56, 63, 64, 65, 119, 120, 1000003};
    char *directory = support_directory(), *path = ft_path_join(directory, "bytes"), ours[FT_SHA_TEXT], theirs[FT_SHA_TEXT];
    uint8_t *bytes = aligned_buffer(1003520);
    stamp(bytes, 1003520, 3, 0, 1);
    for (size_t i = 0; i < 2 * sizeof lengths / sizeof lengths[0]; i++) {
        size_t n = lengths[i / 2], piece = 1 + n / 7;
        ft_sha sha;
        ft_sha_begin(&sha, kinds[i % 2].kind);
        for (size_t at = 0; at < n; at += piece) ft_sha_add(&sha, bytes + at, n - at < piece ? n - at : piece);
        assert_ok(ft_file_write(path, bytes, n));
        by_program(kinds[i % 2].program, path, theirs);
        assert_string_equal(ft_sha_finish(&sha, ours), theirs);
    }
    free(bytes);
    ft_free(path);
    support_remove(directory);
}

static void variants_agree(void **state)
{
    enum { BLOCKS = 37 };
    uint8_t bytes[BLOCKS * FT_SHA_BLOCK];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int v = 1; ft_sha_variant(FT_SHA256, v); v++) {
        ft_sha a, b;
        ft_sha_begin(&a, FT_SHA256);
        b = a;
        ft_sha_variant(FT_SHA256, 0)(a.state, bytes, BLOCKS);
        ft_sha_variant(FT_SHA256, v)(b.state, bytes, BLOCKS);
        assert_memory_equal(a.state, b.state, sizeof a.state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_vectors_hold),
        cmocka_unit_test(lengths_around_a_block_equal_the_systems_programs),
        cmocka_unit_test(variants_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
