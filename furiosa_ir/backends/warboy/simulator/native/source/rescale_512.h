/* `rescale` in vectors of eight: the loops of rescale.h, which compilers leave scalar in part. */
#pragma once
#include <immintrin.h>

#include "kernels.h"

/* Eight elements as int64, less the zero point; those beyond `some` are 0. */
static inline __attribute__((always_inline)) __m512i eight_of(const int element, const void *x,
                                                              word i, __mmask8 some) {
    if (element == 1)
        return _mm512_cvtepi8_epi64(_mm_maskz_loadu_epi8(some, (const int8_t *)x + i));
    if (element == 4)
        return _mm512_cvtepi32_epi64(_mm256_maskz_loadu_epi32(some, (const int32_t *)x + i));
    return _mm512_maskz_loadu_epi64(some, (const int64_t *)x + i);
}

static inline __attribute__((always_inline)) void store_eight(const int element, void *to, word i,
                                                              __mmask8 some, __m512i value) {
    if (element == 1)
        _mm512_mask_cvtepi64_storeu_epi8((int8_t *)to + i, some, value);
    else if (element == 4)
        _mm512_mask_cvtepi64_storeu_epi32((int32_t *)to + i, some, value);
    else
        _mm512_mask_storeu_epi64((int64_t *)to + i, some, value);
}

/* Products of what fits 32 bits (`narrow`) are those of the low halves. */
static inline __attribute__((always_inline)) void rescale_512(
    const int in, const int narrow, const int out, const int mode, const void *x, void *to, word n,
    const struct factors *f) {
    const __m512i zp = _mm512_set1_epi64(f->input_zp), output_zp = _mm512_set1_epi64(f->output_zp);
    const __m512i low = _mm512_set1_epi64(f->low), high = _mm512_set1_epi64(f->high);
    const __m512i one = _mm512_set1_epi64(1);
    const __m512i nudge = _mm512_set1_epi64((int64_t)1 << 30);
    for (word i = 0; i < n; i += 8) {
        const __mmask8 some = n - i >= 8 ? 0xff : (__mmask8)((1 << (n - i)) - 1);
        const __m512i m =
            _mm512_cvtepi32_epi64(_mm256_maskz_loadu_epi32(some, f->multiplier + i));
        const __m512i shift = _mm512_maskz_loadu_epi64(some, f->shift + i);
        const __m512i half = _mm512_maskz_loadu_epi64(some, f->half + i);
        const __m512i given = _mm512_sub_epi64(eight_of(in, x, i, some), zp);
        const __m512i product =
            narrow ? _mm512_mul_epi32(given, m) : _mm512_mullo_epi64(given, m);
        __m512i v = product;
        if (mode == DOUBLE) v = _mm512_srai_epi64(_mm512_add_epi64(v, nudge), 31);
        if (mode == DOUBLE || mode == AWAY) {
            const __mmask8 down = _mm512_movepi64_mask(v) & _mm512_test_epi64_mask(half, half);
            v = _mm512_mask_sub_epi64(v, down, v, one);
        }
        if (mode == EVEN) {
            const __mmask8 odd = _mm512_test_epi64_mask(_mm512_srav_epi64(v, shift), one);
            const __mmask8 down = (__mmask8)~odd & _mm512_test_epi64_mask(half, half);
            v = _mm512_mask_sub_epi64(v, down, v, one);
        }
        v = _mm512_add_epi64(v, half);
        __m512i rounded = _mm512_srav_epi64(v, shift);
        if (mode == NEAR_EVEN) {
            const __m512i extra = _mm512_maskz_loadu_epi64(some, f->extra + i);
            const __m512i below = _mm512_sub_epi64(_mm512_sllv_epi64(one, shift), one);
            const __m512i behind = _mm512_and_si512(_mm512_add_epi64(v, extra), below);
            const __mmask8 near =
                some & _mm512_cmple_epi64_mask(behind, _mm512_add_epi64(extra, extra));
            if (__builtin_expect(near != 0, 0)) {
                int64_t products[8], shifts[8], halves[8], found[8];
                _mm512_storeu_si512(products, product);
                _mm512_storeu_si512(shifts, shift);
                _mm512_storeu_si512(halves, half);
                _mm512_storeu_si512(found, rounded);
                for (int k = 0; k < 8; k++)
                    found[k] = settled(products[k], shifts[k], halves[k], found[k]);
                rounded = _mm512_loadu_si512(found);
            }
        }
        rounded = _mm512_min_epi64(_mm512_max_epi64(rounded, low), high);
        store_eight(out, to, i, some, _mm512_add_epi64(rounded, output_zp));
    }
}

#define MODES_512(IN, NARROW, OUT)                                                                \
    switch (mode) {                                                                               \
    case SINGLE: rescale_512(IN, NARROW, OUT, SINGLE, x, to, n, f); return;                       \
    case AWAY: rescale_512(IN, NARROW, OUT, AWAY, x, to, n, f); return;                           \
    case EVEN: rescale_512(IN, NARROW, OUT, EVEN, x, to, n, f); return;                           \
    case NEAR_EVEN: rescale_512(IN, NARROW, OUT, NEAR_EVEN, x, to, n, f); return;                 \
    default: rescale_512(IN, NARROW, OUT, DOUBLE, x, to, n, f); return;                           \
    }
#define RESCALE_512(IN, NARROW, OUT)                                                              \
    static void rescale_##IN##_##NARROW##_##OUT(int mode, const void *x, void *to, word n,        \
                                                const struct factors *f) {                        \
        MODES_512(IN, NARROW, OUT)                                                                \
    }
RESCALE_512(1, 1, 1)
RESCALE_512(1, 1, 4)
RESCALE_512(1, 1, 8)
RESCALE_512(4, 1, 1)
RESCALE_512(4, 1, 4)
RESCALE_512(4, 1, 8)
RESCALE_512(4, 0, 1)
RESCALE_512(4, 0, 4)
RESCALE_512(4, 0, 8)
RESCALE_512(8, 0, 1)
RESCALE_512(8, 0, 4)
RESCALE_512(8, 0, 8)

/* All roundings but DOUBLE_LEFT, from elements of any kind to elements of any kind. */
static void rescale_elements(int mode, word in, int narrow, word out, const void *x, void *to,
                             word n, const struct factors *f) {
    if (in == 1 && narrow) {
        if (out == 1) rescale_1_1_1(mode, x, to, n, f);
        else if (out == 4) rescale_1_1_4(mode, x, to, n, f);
        else rescale_1_1_8(mode, x, to, n, f);
    } else if (in == 4 && narrow) {
        if (out == 1) rescale_4_1_1(mode, x, to, n, f);
        else if (out == 4) rescale_4_1_4(mode, x, to, n, f);
        else rescale_4_1_8(mode, x, to, n, f);
    } else if (in == 4) {
        if (out == 1) rescale_4_0_1(mode, x, to, n, f);
        else if (out == 4) rescale_4_0_4(mode, x, to, n, f);
        else rescale_4_0_8(mode, x, to, n, f);
    } else {
        if (out == 1) rescale_8_0_1(mode, x, to, n, f);
        else if (out == 4) rescale_8_0_4(mode, x, to, n, f);
        else rescale_8_0_8(mode, x, to, n, f);
    }
}
#undef RESCALE_512
#undef MODES_512

/* DOUBLE from sixteen int32 to int8 or int32 where all of it but the product fits 32 bits, which
   `rescale_words.py` has shown. `shifts`: int32, of a line. */
static inline __attribute__((always_inline)) __m512i doubled(__m512i x, __m512i m, __m512i shift) {
    const __m512i nudge = _mm512_set1_epi64((int64_t)1 << 30), one = _mm512_set1_epi32(1);
    /* Products of even and of odd elements; bits 31 to 62 of each are the first rounding's result. */
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, m), nudge);
    const __m512i odd = _mm512_add_epi64(
        _mm512_mul_epi32(_mm512_srli_epi64(x, 32), _mm512_srli_epi64(m, 32)), nudge);
    const __m512i v = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 31),
                                              _mm512_slli_epi64(odd, 1));
    const __m512i half = _mm512_srli_epi32(_mm512_sllv_epi32(one, shift), 1);
    const __mmask16 down = _mm512_movepi32_mask(v) & _mm512_test_epi32_mask(half, half);
    return _mm512_srav_epi32(_mm512_add_epi32(_mm512_mask_sub_epi32(v, down, v, one), half), shift);
}

static void double_16(const int32_t *x, word element, uint8_t *to, word n, const struct factors *f,
                      const int32_t *shifts) {
    const __m512i low = _mm512_set1_epi32((int32_t)f->low);
    const __m512i high = _mm512_set1_epi32((int32_t)f->high);
    const __m512i zp = _mm512_set1_epi32((int32_t)f->output_zp);
    for (word i = 0; i < n; i += 16) {
        const __mmask16 some = n - i >= 16 ? 0xffff : (__mmask16)((1 << (n - i)) - 1);
        __m512i v = doubled(_mm512_maskz_loadu_epi32(some, x + i),
                            _mm512_maskz_loadu_epi32(some, f->multiplier + i),
                            _mm512_maskz_loadu_epi32(some, shifts + i));
        v = _mm512_add_epi32(_mm512_min_epi32(_mm512_max_epi32(v, low), high), zp);
        if (element == 1)
            _mm512_mask_cvtepi32_storeu_epi8((int8_t *)to + i, some, v);
        else
            _mm512_mask_storeu_epi32((int32_t *)to + i, some, v);
    }
}
