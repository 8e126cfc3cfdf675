"""Writes tests/golden/codec: conversion tables from torch, compared with ml_dtypes and numpy entry by entry.

NaN results are written as sign | quiet bit (0x7F, 0x7FC0, 0x7FC00000): the libraries differ there, so a test compares NaN-ness.
All files are little-endian arrays without a header; README.md describes each.
"""
import ml_dtypes
import numpy as np
import torch

E4M3_MAX = 448.0


def codec_bf16_to_e4m3(out):
    bits = np.arange(65536, dtype=np.uint16)
    x = torch.from_numpy(bits.view(np.int16).copy()).view(torch.bfloat16).float()
    codes = x.clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    nan = torch.isnan(x).numpy()
    codes = np.where(nan, (bits >> 8 & 0x80 | 0x7F).astype(np.uint8), codes)
    other = np.clip(bits.view(ml_dtypes.bfloat16).astype(np.float32), -E4M3_MAX, E4M3_MAX)
    other = other.astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    assert np.array_equal(codes[~nan], other[~nan])
    codes.tofile(out / "bf16_to_e4m3.bin")


def codec_e4m3_to_f32(out):
    codes = np.arange(256, dtype=np.uint8)
    values = torch.from_numpy(codes).view(torch.float8_e4m3fn).float().numpy()
    other = codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    nan = np.isin(codes, [0x7F, 0xFF])
    assert np.array_equal(values[~nan].view(np.uint32), other[~nan].view(np.uint32))
    assert np.isnan(values[nan]).all() and not np.isnan(values[~nan]).any()
    bits = np.where(nan, codes.astype(np.uint32) >> 7 << 31 | 0x7FC00000, values.view(np.uint32))
    bits.astype("<u4").tofile(out / "e4m3_to_f32.bin")


def adversarial_f32_bits():
    """4096 float32 patterns: every exponent with ties to even both ways and their neighbours, the subnormals, the last finite
    bf16 and the first float32 that rounds to infinity, NaNs whose payload lies in the low half, random patterns to fill."""
    rng = np.random.Generator(np.random.PCG64(7))
    low = [0x0000, 0x0001, 0x7FFF, 0x8000, 0x8001, 0xFFFF]
    bits = []
    for exponent in range(255):
        for mantissa in (0x00, 0x01, 0x7F):  # the kept 7 bits: even, odd, and one whose carry reaches the exponent
            low_bits = low if exponent in (0, 1, 127, 254) else [0x7FFF, 0x8000, 0x8001]
            bits += [exponent << 23 | mantissa << 16 | l for l in low_bits]
    bits += [0x00000001, 0x00007FFF, 0x00008000, 0x00008001, 0x00017FFF, 0x00018000, 0x007FFFFF, 0x7F7F7FFF, 0x7F7F8000,
             0x7F800000, 0x7F800001, 0x7F808000, 0x7F80FFFF, 0x7FBFFFFF, 0x7FC00000, 0x7FFFFFFF, 0x7FFF8000]
    bits += [b ^ 0x80000000 for b in bits if b >> 23 in (0, 1, 64, 127, 128, 253, 254, 255)]
    bits = list(dict.fromkeys(bits))
    assert len(bits) < 4096
    bits += [int(b) for b in rng.integers(0, 2 ** 32, 4096 - len(bits))]
    return np.array(bits, dtype=np.uint32)


def codec_f32_to_bf16(out):
    bits = adversarial_f32_bits()
    x = torch.from_numpy(bits.view(np.int32).copy()).view(torch.float32)
    got = x.to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    other = bits.view(np.float32).astype(ml_dtypes.bfloat16).view(np.uint16)
    nan = torch.isnan(x).numpy()
    assert np.array_equal(got[~nan], other[~nan])
    got = np.where(nan, (bits >> 16 & 0x8000 | 0x7FC0).astype(np.uint16), got)
    bits.astype("<u4").tofile(out / "f32_to_bf16.in.bin")
    got.astype("<u2").tofile(out / "f32_to_bf16.out.bin")


def codec_f16_to_f32(out):
    bits = np.arange(65536, dtype=np.uint16)
    values = torch.from_numpy(bits.view(np.int16).copy()).view(torch.float16).float().numpy()
    other = bits.view(np.float16).astype(np.float32)
    nan = np.isnan(other)
    assert np.array_equal(values[~nan].view(np.uint32), other[~nan].view(np.uint32)) and np.isnan(values[nan]).all()
    result = np.where(nan, (bits.astype(np.uint32) >> 15) << 31 | 0x7FC00000, values.view(np.uint32))
    result.astype("<u4").tofile(out / "f16_to_f32.bin")


def make_codec(out):
    with np.errstate(invalid="ignore"):  # NaN inputs
        codec_bf16_to_e4m3(out)
        codec_e4m3_to_f32(out)
        codec_f32_to_bf16(out)
        codec_f16_to_f32(out)
    print("codec: written, torch, ml_dtypes and numpy agree")
