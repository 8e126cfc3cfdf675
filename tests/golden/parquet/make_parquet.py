#!/usr/bin/env python3
"""Writes the Parquet golden files: tiny files in every encoding, codec, page version and nesting, and the rows pyarrow reads from
them. Run in this directory with pyarrow installed; the tests need no Python.

  manifest.json   [{"file", "rows"}] or [{"file", "status", "error"}]; `rows` names a file in rows/, an array of objects.
                  `error` is part of the message a refused file must give, `status` "unsupported" or "input".

Most files are pyarrow's. Legacy shapes that it reads but cannot write (2-level lists, bare repeated fields) are put together
here byte by byte, and pyarrow says what they hold.
"""
import datetime
import decimal
import hashlib
import json
import math
import os
import struct

import pyarrow as pa
import pyarrow.parquet as pq

WORDS = ["", "a", "naïve", "日本語のテキスト", "🙂 emoji", "line\nbreak\t\"quoted\"", "zero\0byte", "prefix-one", "prefix-two", "prefix-two-longer"]
manifest, seen = [], {}


def text(i):
    return WORDS[i * 7 % len(WORDS)] + ("" if i % 3 else str(i))


def flat(n=48):
    rows = range(n)
    hole = lambda i, k, v: None if i % k == 0 else v
    return pa.table({
        "text": pa.array([hole(i, 5, text(i)) for i in rows], pa.string()),
        "required": pa.array([text(i + 3) for i in rows], pa.string()),
        "large": pa.array([hole(i, 4, text(i) * 2) for i in rows], pa.large_string()),
        "bytes": pa.array([hole(i, 6, text(i).encode()) for i in rows], pa.binary()),
        "fixed": pa.array([hole(i, 7, b"%04d" % i) for i in rows], pa.binary(4)),
        "yes": pa.array([hole(i, 4, i % 3 == 0) for i in rows], pa.bool_()),
        "all": pa.array([i < n // 2 for i in rows], pa.bool_()),
        "i8": pa.array([hole(i, 9, i - 20) for i in rows], pa.int8()),
        "u16": pa.array([65535 - i for i in rows], pa.uint16()),
        "i32": pa.array([hole(i, 3, (-1) ** i * (1 << i % 32) + (i % 32 == 31)) for i in rows], pa.int32()),
        "u32": pa.array([4294967295 - i for i in rows], pa.uint32()),
        "i64": pa.array([hole(i, 8, (-1) ** i * ((1 << i) - 1) * 5) for i in rows], pa.int64()),
        "edge": pa.array([[-(1 << 63), (1 << 63) - 1, 0][i % 3] for i in rows], pa.int64()),
        "f32": pa.array([hole(i, 5, i / 3 - 7) for i in rows], pa.float32()),
        "f64": pa.array([[math.pi * i, math.nan, -1e300, 5e-324][i % 4] for i in rows], pa.float64()),
        "none": pa.array([None] * n, pa.string()),
        "never": pa.array([None] * n, pa.null()),
    }, schema=None)


def required(table, *names):
    fields = [f.with_nullable(f.name not in names) for f in table.schema]
    return table.cast(pa.schema(fields))


def chat(n=32):
    turn = pa.struct([("from", pa.string()), ("value", pa.string())])
    def turns(i):
        if i % 9 == 4:
            return None
        if i % 9 == 7:
            return []
        made = [{"from": ["human", "gpt"][k % 2], "value": text(i * 5 + k) * (k + 1)} for k in range(i % 5 + 1)]
        if i % 6 == 1:
            made[-1]["value"] = None
        if i % 6 == 2:
            made.insert(1, None)
        return made
    return pa.table({
        "conversations": pa.array([turns(i) for i in range(n)], pa.list_(turn)),
        "source": pa.array([f"set_{i % 3}" for i in range(n)], pa.string()),
        "score": pa.array([None if i % 4 == 0 else i / 4 for i in range(n)], pa.float64()),
    })


def nested(n=30):
    inner = pa.struct([("x", pa.list_(pa.string())), ("y", pa.struct([("z", pa.int64())]))])
    def lists(i):
        return [None, [], [[]], [None, [1, None, i]], [[i], [], [2, 3]]][i % 5]
    def parts(i):
        return [{"x": None, "y": None}, {"x": [], "y": {"z": None}}, {"x": ["p", None, text(i)], "y": {"z": i}}, None][i % 4]
    return pa.table({
        "lists": pa.array([lists(i) for i in range(n)], pa.list_(pa.list_(pa.int32()))),
        "deep": pa.array([[[[text(i)], []], []] if i % 2 else [[None, ["a", None]]] for i in range(n)], pa.list_(pa.list_(pa.list_(pa.string())))),
        "group": pa.array([parts(i) for i in range(n)], inner),
        "groups": pa.array([[parts(i + k) for k in range(i % 4)] if i % 5 else None for i in range(n)], pa.list_(inner)),
        "map": pa.array([[(f"k{k}", [k, None]) for k in range(i % 3)] if i % 4 else None for i in range(n)],
                        pa.map_(pa.string(), pa.list_(pa.int32()))),
        "pair": pa.array([None if i % 7 == 0 else [i, i + 1] for i in range(n)], pa.list_(pa.int16(), 2)),
        "plain": pa.array(range(n), pa.int64()),
    })


def plain(value):
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(v, tuple) for v in value):
            return [{"key": plain(k), "value": plain(v)} for k, v in value]
        return [plain(v) for v in value]
    return value


def times_as_numbers(table):
    for i, field in enumerate(table.schema):
        if pa.types.is_temporal(field.type):
            bits = pa.int32() if field.type.bit_width == 32 else pa.int64()
            table = table.set_column(i, field.name, table.column(i).cast(bits))
    return table


def expect(name, rows=None):
    """Adds a file to the manifest with the rows that pyarrow reads from it."""
    if rows is None:
        rows = plain(times_as_numbers(pq.read_table(name, partitioning=None)).to_pylist())
    data = json.dumps(rows, ensure_ascii=False, separators=(",", ":")) + "\n"
    digest = hashlib.sha256(data.encode()).hexdigest()
    if digest not in seen:
        seen[digest] = f"rows/{name.split('.')[0]}.json"
        with open(seen[digest], "w") as file:
            file.write(data)
    manifest.append({"file": name, "rows": seen[digest]})


def write(name, table, **options):
    options.setdefault("write_statistics", False)
    options.setdefault("store_schema", False)
    pq.write_table(table, name, **options)
    expect(name)


def refuse(name, table, status, error, **options):
    pq.write_table(table, name, write_statistics=False, store_schema=False, **options)
    manifest.append({"file": name, "status": status, "error": error})


def leaf_encodings(table, choose):
    """Encoding by column path, as `choose` says for the leaf's Arrow type."""
    result = {}
    def walk(path, kind):
        if pa.types.is_map(kind):
            walk(path + ".key_value.key", kind.key_type)
            walk(path + ".key_value.value", kind.item_type)
        elif pa.types.is_nested(kind) and not pa.types.is_struct(kind):
            walk(path + ".list.element", kind.value_type)
        elif pa.types.is_struct(kind):
            for field in kind:
                walk(f"{path}.{field.name}", field.type)
        else:
            encoding = choose(kind)
            if encoding:
                result[path] = encoding
    for field in table.schema:
        walk(field.name, field.type)
    return result


def is_text(kind):
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)


def delta_ints(kind):
    return "DELTA_BINARY_PACKED" if pa.types.is_integer(kind) else "RLE" if pa.types.is_boolean(kind) else None


def delta_length(kind):
    return "DELTA_LENGTH_BYTE_ARRAY" if is_text(kind) else None


def delta_bytes(kind):
    return "DELTA_BYTE_ARRAY" if is_text(kind) or pa.types.is_fixed_size_binary(kind) else delta_ints(kind)


def split(kind):
    wide = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_fixed_size_binary(kind)
    return "BYTE_STREAM_SPLIT" if wide else None


ENCODINGS = [("plain", None), ("dictionary", None), ("delta", delta_ints), ("lengths", delta_length), ("prefixes", delta_bytes), ("split", split)]
CODECS = ["NONE", "SNAPPY", "GZIP", "ZSTD"]


def matrix():
    tables = {"flat": required(flat(), "required", "all", "edge"), "chat": chat(), "nested": nested()}
    turn = 0
    for shape, table in tables.items():
        for encoding, choose in ENCODINGS:
            for version in ("1.0", "2.0"):
                codec = CODECS[turn % 4]
                turn += 1
                extra = {"use_dictionary": encoding == "dictionary"}
                if choose:
                    extra["column_encoding"] = leaf_encodings(table, choose)
                    if not extra["column_encoding"]:
                        continue
                name = f"{shape}_{encoding}_v{version[0]}_{codec.lower()}.parquet"
                write(name, table, compression=codec, data_page_version=version, **extra)
            turn += 1
    for codec in CODECS:
        for version in ("1.0", "2.0"):
            name = f"codec_v{version[0]}_{codec.lower()}.parquet"
            write(name, chat(12), compression=codec, data_page_version=version)


def sizes():
    big = pa.table({
        "text": pa.array([f"{i % 97}-" + text(i) for i in range(600)], pa.string()),
        "tags": pa.array([None if i % 50 == 3 else [f"t{k * i % 31}" for k in range(i % 7)] for i in range(600)], pa.list_(pa.string())),
        "n": pa.array([None if 200 <= i < 330 else i * i for i in range(600)], pa.int32()),
        "flag": pa.array([i % 2 == 0 if i < 100 else i < 400 for i in range(600)], pa.bool_()),
    })
    for version in ("1.0", "2.0"):
        v = version[0]
        write(f"pages_v{v}.parquet", big, data_page_version=version, data_page_size=256, write_batch_size=16, compression="NONE")
        write(f"overflow_v{v}.parquet", big, data_page_version=version, data_page_size=300, write_batch_size=16,
              dictionary_pagesize_limit=200, compression="SNAPPY")
        write(f"groups_v{v}.parquet", big.slice(0, 60), data_page_version=version, row_group_size=7, compression="ZSTD")
        write(f"checksums_v{v}.parquet", chat(20), data_page_version=version, write_page_checksum=True, compression="GZIP")
    delta = {"n": "DELTA_BINARY_PACKED", "flag": "RLE", "text": "DELTA_BYTE_ARRAY"}
    write("delta_blocks.parquet", big, use_dictionary=False, column_encoding=delta, compression="ZSTD")
    write("delta_pages.parquet", big, use_dictionary=False, column_encoding=delta, data_page_size=500, write_batch_size=64, compression="ZSTD")
    write("defaults.parquet", chat(20), write_statistics=True, store_schema=True)
    write("old_names.parquet", nested(15), use_compliant_nested_type=False)
    write("empty.parquet", chat(0))
    long = pa.table({"s": pa.array(["x" * 5000, None, "é" * 3000])})
    write("long_statistics.parquet", long, write_statistics=True, write_page_index=True)
    pq.ParquetWriter("no_groups.parquet", chat(1).schema, store_schema=False).close()
    expect("no_groups.parquet")
    base = datetime.datetime(2024, 2, 3, 4, 5, 6)
    write("times.parquet", pa.table({
        "date": pa.array([datetime.date(2024, 1, 2), None], pa.date32()),
        "time": pa.array([12345, None], pa.time64("us")),
        "stamp": pa.array([base, None], pa.timestamp("ms", "UTC")),
        "u64": pa.array([(1 << 63) - 1, None], pa.uint64()),
    }))
    category = pa.array(["b", None, "a", "b"]).dictionary_encode()
    write("category.parquet", pa.table({"c": category}))


def refusals():
    one = pa.table({"n": [1]})
    refuse("int96.parquet", pa.table({"t": pa.array([datetime.datetime(2024, 1, 1)], pa.timestamp("ns"))}), "unsupported",
           "column t: type INT96", use_deprecated_int96_timestamps=True)
    refuse("decimal.parquet", pa.table({"d": [decimal.Decimal("1.25")]}), "unsupported", "column d: type DECIMAL")
    refuse("half.parquet", pa.table({"h": pa.array([1.5], pa.float16())}), "unsupported", "column h: type FLOAT16")
    refuse("brotli.parquet", one, "unsupported", "column n: compression codec BROTLI", compression="BROTLI")
    refuse("lz4.parquet", one, "unsupported", "compression codec LZ4_RAW", compression="LZ4")
    refuse("bytes.parquet", pa.table({"b": [b"\xff\xfe"]}), "input", "row group 0, column b: a value that is not UTF-8")
    refuse("unsigned.parquet", pa.table({"u": pa.array([1 << 63], pa.uint64())}), "unsupported", "2^63")


# ---- files put together by hand

def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def compact(fields):
    """A thrift struct in the compact protocol from [(id, value)]; ints are i32, Long is i64."""
    out, last = b"", 0
    for number, value in fields:
        kind = 5 if isinstance(value, int) else 6 if isinstance(value, Long) else 8 if isinstance(value, str) else 9 if isinstance(value, list) else 12
        out += bytes([(number - last) << 4 | kind])
        last = number
        out += element(value)
    return out + b"\0"


class Long:
    def __init__(self, n):
        self.n = n


class Struct:
    def __init__(self, *fields):
        self.fields = fields


def element(value):
    if isinstance(value, Long):
        value = value.n
    if isinstance(value, int):
        return varint(value << 1 ^ value >> 63)
    if isinstance(value, str):
        return varint(len(value.encode())) + value.encode()
    if isinstance(value, Struct):
        return compact(value.fields)
    kind = 8 if value and isinstance(value[0], str) else 5 if value and isinstance(value[0], int) else 12
    assert len(value) < 15
    return bytes([len(value) << 4 | kind]) + b"".join(element(v) for v in value)


def runs(levels, width):
    body = b"".join(varint(1 << 1) + level.to_bytes((width + 7) // 8, "little") for level in levels)
    return struct.pack("<I", len(body)) + body


def by_hand(name, schema, columns, n_rows):
    """schema: SchemaElement structs. columns: (path, type, max_rep, max_def, [(rep, def, bytes or None)])."""
    data, chunks = b"PAR1", []
    for path, kind, max_rep, max_def, entries in columns:
        page = runs([e[0] for e in entries], max_rep.bit_length()) if max_rep else b""
        page += runs([e[1] for e in entries], max_def.bit_length()) if max_def else b""
        page += b"".join(e[2] for e in entries if e[2] is not None)
        header = compact([(1, 0), (2, len(page)), (3, len(page)), (5, Struct((1, len(entries)), (2, 0), (3, 3), (4, 3)))])
        begin = len(data)
        data += header + page
        size = Long(len(data) - begin)
        meta = Struct((1, kind), (2, [0, 3]), (3, path), (4, 0), (5, Long(len(entries))), (6, size), (7, size), (9, Long(begin)))
        chunks.append(Struct((2, Long(begin)), (3, meta)))
    groups = [Struct((1, chunks), (2, Long(len(data))), (3, Long(n_rows)))]
    footer = compact([(1, 1), (2, schema), (3, Long(n_rows)), (4, groups)])
    with open(name, "wb") as file:
        file.write(data + footer + struct.pack("<I", len(footer)) + b"PAR1")
    expect(name)


def group(name, repetition, children, converted=None):
    return Struct((3, repetition), (4, name), (5, children), *([(6, converted)] if converted is not None else []))


def column(name, repetition, kind, converted=None):
    return Struct((1, kind), (3, repetition), (4, name), *([(6, converted)] if converted is not None else []))


def legacy():
    i32 = lambda n: struct.pack("<i", n)
    utf8 = lambda s: struct.pack("<I", len(s.encode())) + s.encode()
    root = lambda n: Struct((4, "schema"), (5, n))
    levels = [(0, 2, i32(1)), (1, 2, i32(2)), (0, 0, None), (0, 1, None), (0, 2, i32(-3))]
    by_hand("two_level.parquet", [root(1), group("v", 1, 1, 3), column("element", 2, 1)],
            [(["v", "element"], 1, 1, 2, levels)], 4)
    by_hand("two_level_nested.parquet", [root(1), group("v", 1, 1, 3), group("array", 2, 1, 3), column("array", 2, 1)],
            [(["v", "array", "array"], 1, 2, 3, [(0, 3, i32(1)), (2, 3, i32(2)), (1, 2, None), (1, 3, i32(3)), (0, 0, None), (0, 1, None)])], 3)
    by_hand("repeated.parquet", [root(1), column("v", 2, 6, 0)],
            [(["v"], 6, 1, 1, [(0, 1, utf8("a")), (1, 1, utf8("ü")), (0, 0, None), (0, 1, utf8(""))])], 3)
    for inner in ("array", "v_tuple", "element"):  # only the last is a wrapper
        by_hand(f"legacy_{inner}.parquet", [root(1), group("v", 1, 1, 3), group(inner, 2, 1), column("n", 0, 1)],
                [(["v", inner, "n"], 1, 1, 2, levels)], 4)
    by_hand("two_fields.parquet", [root(1), group("v", 1, 1, 3), group("element", 2, 2), column("n", 0, 1), column("m", 1, 1)],
            [(["v", "element", "n"], 1, 1, 2, levels),
             (["v", "element", "m"], 1, 1, 3, [(0, 3, i32(7)), (1, 2, None), (0, 0, None), (0, 1, None), (0, 3, i32(8))])], 4)
    by_hand("repeated_group.parquet", [root(2), group("v", 2, 1), column("n", 0, 1), column("w", 0, 1)],
            [(["v", "n"], 1, 1, 1, [(0, 1, i32(1)), (1, 1, i32(2)), (0, 0, None)]), (["w"], 1, 0, 0, [(0, 0, i32(5)), (0, 0, i32(6))])], 2)


def main():
    os.makedirs("rows", exist_ok=True)
    matrix()
    sizes()
    legacy()
    refusals()
    lines = ",\n".join(json.dumps(entry) for entry in manifest)
    with open("manifest.json", "w") as file:
        file.write(f"[\n{lines}\n]\n")


main()
