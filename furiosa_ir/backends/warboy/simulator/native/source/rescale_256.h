/* `rescale` of 32 bits in vectors of eight, where all of it but products fits 32 bits, which
   `rescale_words.py` has shown. AVX2 shifts 64 bits to the right without their sign: 2**63 is added
   in front, and what is left of it subtracted behind. */
#pragma once
#include "kernels.h"

static inline __m256i four_wide(const int32_t *x) {
    return _mm256_cvtepi32_epi64(_mm_loadu_si128((const void *)x));
}

/* The low halves of eight elements of 64 bits. */
static inline __m256i low_halves(__m256i first, __m256i second) {
    const __m256 mixed = _mm256_shuffle_ps(_mm256_castsi256_ps(first), _mm256_castsi256_ps(second),
                                           _MM_SHUFFLE(2, 0, 2, 0));
    return _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), _MM_SHUFFLE(3, 1, 2, 0));
}

/* Eight int32 as int8, or as they are. */
static inline void store_narrow(const int element, uint8_t *to, __m256i v) {
    if (element == 4) {
        _mm256_storeu_si256((void *)to, v);
        return;
    }
    const __m256i low = _mm256_and_si256(v, _mm256_set1_epi32(0xff));
    const __m256i words = _mm256_packus_epi32(low, low);
    const __m256i bytes = _mm256_packus_epi16(words, words);
    const int32_t halves[2] = {_mm256_extract_epi32(bytes, 0), _mm256_extract_epi32(bytes, 4)};
    memcpy(to, halves, 8);
}

/* Eight times DOUBLE: bits 31 to 62 of products are the first rounding's result. */
static inline __m256i doubled(const int32_t *x, const int32_t *multiplier, const int32_t *shift) {
    const __m256i given = _mm256_loadu_si256((const void *)x);
    const __m256i m = _mm256_loadu_si256((const void *)multiplier);
    const __m256i s = _mm256_loadu_si256((const void *)shift);
    const __m256i nudge = _mm256_set1_epi64x((int64_t)1 << 30), zero = _mm256_setzero_si256();
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(given, m), nudge);
    const __m256i odd = _mm256_add_epi64(
        _mm256_mul_epi32(_mm256_srli_epi64(given, 32), _mm256_srli_epi64(m, 32)), nudge);
    const __m256i v =
        _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xaa);
    const __m256i half = _mm256_srli_epi32(_mm256_sllv_epi32(_mm256_set1_epi32(1), s), 1);
    /* -1 where it is negative and there is a half. */
    const __m256i down = _mm256_and_si256(_mm256_srai_epi32(v, 31), _mm256_cmpgt_epi32(half, zero));
    return _mm256_srav_epi32(_mm256_add_epi32(_mm256_add_epi32(v, down), half), s);
}

/* What is added to a product in front of its shift; `near` gets a negative element where a product
   is near a tie. */
static inline __attribute__((always_inline)) __m256i nudged(const int mode, __m256i product,
                                                            const int64_t *shift,
                                                            const int64_t *half,
                                                            const int64_t *extra, __m256i *near) {
    const __m256i h = _mm256_loadu_si256((const void *)half), zero = _mm256_setzero_si256();
    const __m256i one = _mm256_set1_epi64x(1);
    __m256i v = _mm256_add_epi64(product, h);
    if (mode == AWAY) {
        const __m256i negative = _mm256_cmpgt_epi64(zero, product);
        v = _mm256_add_epi64(v, _mm256_and_si256(negative, _mm256_cmpgt_epi64(h, zero)));
    }
    if (mode == EVEN) {
        const __m256i s = _mm256_loadu_si256((const void *)shift);
        const __m256i odd = _mm256_and_si256(_mm256_srlv_epi64(product, s), one);
        const __m256i down = _mm256_sub_epi64(odd, one);
        v = _mm256_add_epi64(v, _mm256_and_si256(down, _mm256_cmpgt_epi64(h, zero)));
    }
    if (mode == NEAR_EVEN) {
        const __m256i e = _mm256_loadu_si256((const void *)extra);
        const __m256i below = _mm256_sub_epi64(_mm256_add_epi64(h, h), one);
        const __m256i behind = _mm256_and_si256(_mm256_add_epi64(v, e), below);
        const __m256i least = _mm256_add_epi64(_mm256_add_epi64(e, e), one);
        *near = _mm256_or_si256(*near, _mm256_sub_epi64(behind, least));
    }
    return v;
}

static inline __attribute__((always_inline)) __m256i shifted(__m256i v, const int64_t *shift) {
    const __m256i sign = _mm256_set1_epi64x(INT64_MIN);
    return _mm256_srlv_epi64(_mm256_xor_si256(v, sign), _mm256_loadu_si256((const void *)shift));
}

/* Answers whether one of them is near a tie. */
static inline __attribute__((always_inline)) int rescale_256(
    const int mode, const int element, const int32_t *x, uint8_t *to, word n,
    const struct factors *f, const int32_t *shift, const int32_t *less) {
    const __m256i low = _mm256_set1_epi32((int32_t)greatest(f->low, INT32_MIN));
    const __m256i high = _mm256_set1_epi32((int32_t)least(f->high, INT32_MAX));
    const __m256i zp = _mm256_set1_epi32((int32_t)f->output_zp);
    __m256i near = _mm256_setzero_si256();
    for (word i = 0; i < n; i += 8) {
        __m256i v;
        if (mode == DOUBLE) {
            v = doubled(x + i, f->multiplier + i, shift + i);
        } else {
            __m256i half[2];
#pragma GCC unroll 2
            for (int h = 0; h < 2; h++) {
                const word k = i + 4 * h;
                const __m256i product = _mm256_mul_epi32(four_wide(x + k), four_wide(f->multiplier + k));
                const __m256i sum = nudged(mode, product, f->shift + k, f->half + k, f->extra + k, &near);
                half[h] = shifted(sum, f->shift + k);
            }
            const __m256i l = _mm256_loadu_si256((const void *)(less + i));
            v = _mm256_sub_epi32(low_halves(half[0], half[1]), l);
        }
        v = _mm256_add_epi32(_mm256_min_epi32(_mm256_max_epi32(v, low), high), zp);
        store_narrow(element, to + i * element, v);
    }
    return _mm256_movemask_pd(_mm256_castsi256_pd(near));
}

#define OF_MODE(MODE, ELEMENT) rescale_256(MODE, ELEMENT, x, to, n, f, shift, less)
#define OF_ELEMENT(ELEMENT)                                                                       \
    static int rescale_256_##ELEMENT(int mode, const int32_t *x, uint8_t *to, word n,             \
                                     const struct factors *f, const int32_t *shift,               \
                                     const int32_t *less) {                                       \
        switch (mode) {                                                                           \
        case SINGLE: return OF_MODE(SINGLE, ELEMENT);                                             \
        case AWAY: return OF_MODE(AWAY, ELEMENT);                                                 \
        case EVEN: return OF_MODE(EVEN, ELEMENT);                                                 \
        case NEAR_EVEN: return OF_MODE(NEAR_EVEN, ELEMENT);                                       \
        default: return OF_MODE(DOUBLE, ELEMENT);                                                 \
        }                                                                                         \
    }
OF_ELEMENT(1)
OF_ELEMENT(4)
#undef OF_ELEMENT
#undef OF_MODE

/* All roundings but DOUBLE_LEFT, from int32 without a zero point to int8 or int32. `line`: how many
   elements have factors; `narrow`: int32 [2][line], the shift, and `2**63 >> shift`, wrapped. */
static void rescale_eights(int mode, const int32_t *x, word element, uint8_t *to, word n,
                           const struct factors *f, const int32_t *narrow, word line) {
    const word most = 64, whole = n / 8 * 8;
    for (word i = 0; i < whole; i += most) {
        const word size = least(most, whole - i);
        const struct factors here = factors_behind(f, i);
        const int32_t *shift = narrow + i, *less = narrow + line + i;
        const int near = element == 1
                             ? rescale_256_1(mode, x + i, to + i, size, &here, shift, less)
                             : rescale_256_4(mode, x + i, to + 4 * i, size, &here, shift, less);
        if (near) rescale_narrow(mode, element, x + i, to + i * element, size, &here);
    }
    if (whole == n) return;
    const struct factors rest = factors_behind(f, whole);
    rescale_narrow(mode, element, x + whole, to + whole * element, n - whole, &rest);
}
