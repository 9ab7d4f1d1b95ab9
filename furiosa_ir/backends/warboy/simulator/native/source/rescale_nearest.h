/* `rescale` to the nearest integer in float64: a factor is exact in it, a product of up to 31 bits
   is within 2**-21. What lies further from a tie than `TIE_BAND` rounds alike in all roundings to
   nearest; where something lies nearer, the integers of rescale.h decide, 64 elements at a time.
   `rescale_words.py` says where that is rare, where products have 31 bits, and x no more than 51. */
#pragma once
#include "kernels.h"

#define TIE_BAND 0x1p-18
#define NEAREST_ELEMENTS 64

struct nearest {
    const double *factor; /* of a line */
    int32_t low, high, output_zp;
};

#ifdef AVX512

#define NEAREST_LANES 1 /* a mask leaves out what is no element */

/* Eight elements of int32 or int64 (`in`). */
static inline __m512d eight_reals(const int in, const uint8_t *x, word i, __mmask8 some) {
    if (in == 4)
        return _mm512_cvtepi32_pd(_mm256_maskz_loadu_epi32(some, (const int32_t *)x + i));
    return _mm512_cvtepi64_pd(_mm512_maskz_loadu_epi64(some, (const int64_t *)x + i));
}

/* Eight rounded products; `most`: the greatest distance from an integer. */
static inline __m256i eight_nearest(__m512d x, __m512d factor, __m512d *most) {
    const __m512d product = _mm512_mul_pd(x, factor);
    const __m512d distance = _mm512_reduce_pd(product, _MM_FROUND_TO_NEAREST_INT);
    *most = _mm512_max_pd(*most, _mm512_abs_pd(distance));
    return _mm512_cvtpd_epi32(product);
}

/* Of all `n` elements; answers how near to a tie one of them lies. */
static inline __attribute__((always_inline)) double round_nearest(
    const int in, const int out, const uint8_t *x, uint8_t *to, word n, const struct nearest *f,
    word first) {
    const __m512i low = _mm512_set1_epi32(f->low), high = _mm512_set1_epi32(f->high);
    const __m512i zp = _mm512_set1_epi32(f->output_zp);
    const double *factor = f->factor + first;
    __m512d most = _mm512_setzero_pd();
    for (word i = 0; i < n; i += 16) {
        const word left = n - i;
        const __mmask16 some = left >= 16 ? 0xffff : (__mmask16)((1 << left) - 1);
        const __mmask8 half[2] = {(__mmask8)some, (__mmask8)(some >> 8)};
        __m256i rounded[2];
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            const word k = i + 8 * h;
            rounded[h] = eight_nearest(eight_reals(in, x, k, half[h]),
                                       _mm512_maskz_loadu_pd(half[h], factor + k), &most);
        }
        __m512i v = _mm512_inserti64x4(_mm512_castsi256_si512(rounded[0]), rounded[1], 1);
        v = _mm512_add_epi32(_mm512_min_epi32(_mm512_max_epi32(v, low), high), zp);
        if (out == 1) _mm512_mask_cvtepi32_storeu_epi8((void *)(to + i), some, v);
        else _mm512_mask_storeu_epi32((void *)(to + 4 * i), some, v);
    }
    return 0.5 - _mm512_reduce_max_pd(most);
}

#else

#define NEAREST_LANES 8

/* Four elements of int32 or int64 (`in`); those lie in the bits of a float64 near 1.5 * 2**52. */
static inline __m256d four_reals(const int in, const uint8_t *x) {
    if (in == 4) return _mm256_cvtepi32_pd(_mm_loadu_si128((const void *)x));
    const __m256d magic = _mm256_set1_pd(0x1.8p52);
    const __m256i placed =
        _mm256_add_epi64(_mm256_loadu_si256((const void *)x), _mm256_castpd_si256(magic));
    return _mm256_sub_pd(_mm256_castsi256_pd(placed), magic);
}

static inline __m128i four_nearest(__m256d x, const double *factor, __m256d *most) {
    const __m256d product = _mm256_mul_pd(x, _mm256_loadu_pd(factor));
    const __m256d whole = _mm256_round_pd(product, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m256d distance = _mm256_andnot_pd(_mm256_set1_pd(-0.0), _mm256_sub_pd(product, whole));
    *most = _mm256_max_pd(*most, distance);
    return _mm256_cvtpd_epi32(whole);
}

/* Of the elements in whole vectors; answers how near to a tie one of them lies. */
static inline __attribute__((always_inline)) double round_nearest(
    const int in, const int out, const uint8_t *x, uint8_t *to, word n, const struct nearest *f,
    word first) {
    const __m256i low = _mm256_set1_epi32(f->low), high = _mm256_set1_epi32(f->high);
    const __m256i zp = _mm256_set1_epi32(f->output_zp);
    const double *factor = f->factor + first;
    __m256d most = _mm256_setzero_pd();
    for (word i = 0; i + 8 <= n; i += 8) {
        const __m128i a = four_nearest(four_reals(in, x + in * i), factor + i, &most);
        const __m128i b = four_nearest(four_reals(in, x + in * (i + 4)), factor + i + 4, &most);
        const __m256i v = _mm256_min_epi32(_mm256_max_epi32(_mm256_set_m128i(b, a), low), high);
        store_narrow(out, to + i * out, _mm256_add_epi32(v, zp));
    }
    __m128d half = _mm_max_pd(_mm256_castpd256_pd128(most), _mm256_extractf128_pd(most, 1));
    half = _mm_max_sd(half, _mm_unpackhi_pd(half, half));
    return 0.5 - _mm_cvtsd_f64(half);
}

#endif

/* All roundings to nearest without an input's zero point, from int32 or int64 (`in`) to int8 or
   int32 (`out`). `factor`: float64, of a line. */
static void rescale_nearest(int rounding, word in, const uint8_t *x, word out, uint8_t *to, word n,
                            const struct factors *f, const double *factor) {
    const struct nearest nearest = {factor, (int32_t)greatest(f->low, INT32_MIN),
                                    (int32_t)least(f->high, INT32_MAX), (int32_t)f->output_zp};
#define OF_KINDS(IN, OUT) round_nearest(IN, OUT, x + i * IN, to + i * OUT, size, &nearest, i)
    for (word i = 0; i < n; i += NEAREST_ELEMENTS) {
        const word size = least(NEAREST_ELEMENTS, n - i);
        const double from_tie = in == 4 ? out == 1 ? OF_KINDS(4, 1) : OF_KINDS(4, 4)
                                        : out == 1 ? OF_KINDS(8, 1) : OF_KINDS(8, 4);
        const word done = from_tie < TIE_BAND ? 0 : size / NEAREST_LANES * NEAREST_LANES;
        if (done == size) continue;
        const word first = i + done;
        const struct factors rest = factors_behind(f, first);
        uint8_t *there = to + first * out;
        if (in == 4)
            rescale_narrow(rounding, out, (const int32_t *)x + first, there, size - done, &rest);
        else if (out == 1)
            rescale_wide_1(rounding, (const int64_t *)x + first, (int8_t *)there, size - done, &rest);
        else
            rescale_wide_4(rounding, (const int64_t *)x + first, (int32_t *)there, size - done, &rest);
    }
#undef OF_KINDS
}
