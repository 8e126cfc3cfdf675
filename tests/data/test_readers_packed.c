// .gz and .zst files read as what they hold; a file that is cut off or damaged is an error, whatever came out of it before.
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include "common/text.h"
#include "data/byte_stream.h"
#include "data/readers.h"
#include "data/t_data.h"

typedef struct {
    unsigned char *data;
    size_t n;
} image;

typedef image (*packer)(const char *text, size_t n);

static image gzip(const char *text, size_t n)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    image packed = {malloc(deflateBound(&z, n) + 64), 0};
    z.next_in = (Bytef *)text;
    z.avail_in = (uInt)n;
    z.next_out = packed.data;
    z.avail_out = (uInt)deflateBound(&z, n) + 64;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    packed.n = z.total_out;
    deflateEnd(&z);
    return packed;
}

static image zstd(const char *text, size_t n)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    image packed = {malloc(ZSTD_compressBound(n)), 0};
    packed.n = ZSTD_compress2(context, packed.data, ZSTD_compressBound(n), text, n);
    assert_false(ZSTD_isError(packed.n));
    ZSTD_freeCCtx(context);
    return packed;
}

static image joined(image a, image b)
{
    image both = {malloc(a.n + b.n), a.n + b.n};
    memcpy(both.data, a.data, a.n);
    memcpy(both.data + a.n, b.data, b.n);
    free(a.data);
    free(b.data);
    return both;
}

typedef struct {
    int64_t n, sum, last_line;
} tally;

static ft_status count(void *context, const json_t *record, const char *path, int64_t line)
{
    tally *t = context;
    t->n++;
    t->sum += json_integer_value(json_object_get(record, "n"));
    t->last_line = line;
    return FT_OK;
}

static ft_status read_image(const char *name, const unsigned char *data, size_t n, tally *t)
{
    char *path = t_path(name);
    t_ok(ft_file_write(path, data, n));
    *t = (tally){0};
    const ft_record_reader *reader = ft_record_reader_find(path);
    assert_non_null(reader);
    return reader->read(path, count, t);
}

static void assert_reads(const char *name, image packed, int64_t n, int64_t sum, int64_t last_line)
{
    tally t;
    t_ok(read_image(name, packed.data, packed.n, &t));
    assert_int_equal(t.n, n);
    assert_int_equal(t.sum, sum);
    assert_int_equal(t.last_line, last_line);
    free(packed.data);
}

static const struct {
    const char *extension;
    packer pack;
} packers[] = {{".gz", gzip}, {".zst", zstd}};

static char *named(const char *stem, int packer_index)
{
    static char name[64];
    snprintf(name, sizeof name, "%s%s", stem, packers[packer_index].extension);
    return name;
}

static void packed_files_read_as_what_they_hold(void **state)
{
    for (int i = 0; i < 2; i++) {
        packer pack = packers[i].pack;
        assert_reads(named("a.jsonl", i), pack("{\"n\":1}\n\n{\"n\":2}", 16), 2, 3, 3);
        assert_reads(named("A.NDJSON", i), pack("\xEF\xBB\xBF{\"n\":4}", 10), 1, 4, 1);
        assert_reads(named("a.json", i), pack("[{\"n\":1},\n{\"n\":2}]", 18), 2, 3, 2);
        assert_reads(named("lines.json", i), pack("{\"n\":1}\n{\"n\":5}\n", 16), 2, 6, 2);
        assert_reads(named("empty.jsonl", i), pack("", 0), 0, 0, 0);
    }
}

static void members_and_frames_follow_one_another(void **state)
{
    for (int i = 0; i < 2; i++) {
        packer pack = packers[i].pack;
        image both = joined(pack("{\"n\":1}\n{\"n", 11), joined(pack("", 0), pack("\":2}\n", 5)));
        assert_reads(named("two.jsonl", i), both, 2, 3, 2);
    }
}

static ft_text many_lines(int n)
{
    ft_text text = {0};
    uint64_t random = 7;
    for (int i = 0; i < n; i++)
        t_ok(ft_text_printf(&text, "{\"n\":%d,\"x\":\"%08x%08x\"}\n", i, t_random(&random), t_random(&random)));
    return text;
}

static void files_larger_than_every_buffer_stream(void **state)
{
    int n = 300000;
    ft_text text = many_lines(n);
    assert_true(text.length > FT_RECORDS_BUFFER);
    for (int i = 0; i < 2; i++) {
        image packed = packers[i].pack(text.data, text.length);
        assert_true(packed.n > FT_BYTE_STREAM_BUFFER);
        assert_reads(named("big.jsonl", i), packed, n, (int64_t)n * (n - 1) / 2, n);
    }
    ft_text_free(&text);
}

static void a_file_cut_off_is_an_error(void **state)
{
    ft_text text = many_lines(200);
    for (int i = 0; i < 2; i++) {
        image packed = packers[i].pack(text.data, text.length);
        for (size_t n = 1; n < packed.n; n += n + 40 < packed.n ? 37 : 1) {
            tally t;
            t_fails(read_image(named("cut.jsonl", i), packed.data, n, &t), FT_E_INPUT, "cut off");
        }
        free(packed.data);
    }
    ft_text_free(&text);
}

static void damage_is_an_error(void **state)
{
    ft_text text = many_lines(200);
    for (int i = 0; i < 2; i++) {
        image packed = packers[i].pack(text.data, text.length);
        for (size_t at = 30; at < packed.n; at += 101) {
            tally t;
            packed.data[at] ^= 4;
            assert_int_equal(read_image(named("bad.jsonl", i), packed.data, packed.n, &t), FT_E_INPUT);
            packed.data[at] ^= 4;
        }
        tally t;
        t_fails(read_image(named("plain.jsonl", i), (const unsigned char *)"{\"n\":1}\n", 8, &t), FT_E_INPUT, "data its name says");
        free(packed.data);
    }
    ft_text_free(&text);
}

// A FIFO without a writer would be waited for.
static void a_pipe_is_refused_at_once(void **state)
{
    ft_byte_stream *stream;
    assert_int_equal(mkfifo(t_path("pipe.jsonl"), 0600), 0);
    t_fails(ft_byte_stream_open(&stream, t_path("pipe.jsonl")), FT_E_INPUT, "pipe.jsonl: not a regular file");
    assert_null(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_files_read_as_what_they_hold),
        cmocka_unit_test(members_and_frames_follow_one_another),
        cmocka_unit_test(files_larger_than_every_buffer_stream),
        cmocka_unit_test(a_file_cut_off_is_an_error),
        cmocka_unit_test(damage_is_an_error),
        cmocka_unit_test(a_pipe_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
