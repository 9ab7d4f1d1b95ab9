/* Sums of products of bytes: pixels x segments of consecutive bytes, by packed weights.

   Weights are packed [blocks of 16 outputs][groups of 4 terms][16 outputs][4 terms], int8; a
   segment's last group is filled with zeros, so that what is read behind a segment counts nothing.
   Pixels are uint8, sums int32. */
#pragma once
#include "window.h"

#define LANES 16

/* Bytes from a pixel's place, and groups of 4. */
struct segment {
    word offset, groups;
};

struct sums {
    const int8_t *weight; /* packed */
    word block;           /* bytes of a block of outputs */
    const struct segment *segments;
    word segment_count;
};

#ifdef AVX512

/* ROWS pixels x BLOCKS * 16 outputs, all sums in registers. */
static inline __attribute__((always_inline)) void product_block(
    const int ROWS, const int BLOCKS, const uint8_t *const *places, const struct sums *s,
    word block, int32_t *to, word to_step, word outputs) {
    __m512i sum[8][4];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
        for (int b = 0; b < BLOCKS; b++) sum[r][b] = _mm512_setzero_si512();
    const int8_t *weight = s->weight + block * s->block;
    for (word i = 0; i < s->segment_count; i++) {
        const word offset = s->segments[i].offset;
        const uint8_t *from[8];
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) from[r] = places[r] + offset;
        for (word k = 0; k < 4 * s->segments[i].groups; k += 4) {
            __m512i w[4];
#pragma GCC unroll 4
            for (int b = 0; b < BLOCKS; b++)
                w[b] = _mm512_loadu_si512((const void *)(weight + b * s->block));
            weight += 4 * LANES;
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; r++) {
                int32_t four;
                memcpy(&four, from[r] + k, 4);
                const __m512i x = _mm512_set1_epi32(four);
#pragma GCC unroll 4
                for (int b = 0; b < BLOCKS; b++) sum[r][b] = _mm512_dpbusd_epi32(sum[r][b], x, w[b]);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
        for (int b = 0; b < BLOCKS; b++) {
            const word left = outputs - LANES * b;
            const __mmask16 some = left >= LANES ? 0xffff : (__mmask16)((1 << left) - 1);
            _mm512_mask_storeu_epi32(to + r * to_step + LANES * b, some, sum[r][b]);
        }
}

#define MOST_BLOCKS 4
#define PRODUCT_ROWS(BLOCKS) (BLOCKS == 4 ? 6 : 8)

#elif defined(AVX2)

/* A block's sums of a pixel, or as many as there are outputs. */
static inline __attribute__((always_inline)) void store_sums(const __m256i sum[2], int32_t *to,
                                                             word outputs) {
    int32_t found[LANES];
    int32_t *there = outputs >= LANES ? to : found;
    _mm256_storeu_si256((void *)there, sum[0]);
    _mm256_storeu_si256((void *)(there + 8), sum[1]);
    if (outputs < LANES) memcpy(to, found, 4 * (size_t)outputs);
}

/* As above, of one block: there are sixteen registers. Bytes are multiplied as 16 bits, first those
   of even terms, then of odd ones; sums of two products fit 32 bits. */
static inline __attribute__((always_inline)) void product_block(
    const int ROWS, const int BLOCKS, const uint8_t *const *places, const struct sums *s,
    word block, int32_t *to, word to_step, word outputs) {
    (void)BLOCKS;
    const __m256i low = _mm256_set1_epi16(0xff);
    __m256i sum[4][2];
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    const int8_t *weight = s->weight + block * s->block;
    for (word i = 0; i < s->segment_count; i++) {
        const word offset = s->segments[i].offset;
        const uint8_t *from[4];
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++) from[r] = places[r] + offset;
        for (word k = 0; k < 4 * s->segments[i].groups; k += 4, weight += 4 * LANES) {
            __m256i even[2], odd[2];
#pragma GCC unroll 2
            for (int h = 0; h < 2; h++) {
                const __m256i w = _mm256_loadu_si256((const void *)(weight + 32 * h));
                even[h] = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8);
                odd[h] = _mm256_srai_epi16(w, 8);
            }
#pragma GCC unroll 4
            for (int r = 0; r < ROWS; r++) {
                int32_t four;
                memcpy(&four, from[r] + k, 4);
                const __m256i x = _mm256_set1_epi32(four);
                const __m256i x_even = _mm256_and_si256(x, low), x_odd = _mm256_srli_epi16(x, 8);
#pragma GCC unroll 2
                for (int h = 0; h < 2; h++) {
                    const __m256i two = _mm256_madd_epi16(x_even, even[h]);
                    const __m256i others = _mm256_madd_epi16(x_odd, odd[h]);
                    sum[r][h] = _mm256_add_epi32(sum[r][h], _mm256_add_epi32(two, others));
                }
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++) store_sums(sum[r], to + r * to_step, outputs);
}

#define MOST_BLOCKS 1
#define PRODUCT_ROWS(BLOCKS) 4

#endif

#if defined(AVX512) || defined(AVX2)

#define CASE(ROWS, BLOCKS)                                                                        \
    case ROWS: product_block(ROWS, BLOCKS, places, s, block, to, to_step, outputs); return;
#define PRODUCTS(BLOCKS)                                                                          \
    static void products_##BLOCKS(word rows, const uint8_t *const *places, const struct sums *s,  \
                                  word block, int32_t *to, word to_step, word outputs) {          \
        switch (rows) {                                                                           \
            CASE(1, BLOCKS) CASE(2, BLOCKS) CASE(3, BLOCKS) CASE(4, BLOCKS) MORE(BLOCKS)          \
        default: return;                                                                          \
        }                                                                                         \
    }
#ifdef AVX512
#define MORE(BLOCKS) CASE(5, BLOCKS) CASE(6, BLOCKS) CASE(7, BLOCKS) CASE(8, BLOCKS)
PRODUCTS(1)
PRODUCTS(2)
PRODUCTS(3)
PRODUCTS(4)
#else
#define MORE(BLOCKS)
PRODUCTS(1)
#endif
#undef MORE
#undef CASE

#else

#define MOST_BLOCKS 1
#define PRODUCT_ROWS(BLOCKS) 1

static void products_1(word rows, const uint8_t *const *places, const struct sums *s, word block,
                       int32_t *to, word to_step, word outputs) {
    (void)rows, (void)to_step;
    int32_t sum[LANES] = {0};
    const int8_t *weight = s->weight + block * s->block;
    for (word i = 0; i < s->segment_count; i++) {
        const uint8_t *from = places[0] + s->segments[i].offset;
        for (word k = 0; k < s->segments[i].groups; k++, from += 4, weight += 4 * LANES)
            for (int o = 0; o < LANES; o++)
                sum[o] += from[0] * weight[4 * o] + from[1] * weight[4 * o + 1] +
                          from[2] * weight[4 * o + 2] + from[3] * weight[4 * o + 3];
    }
    memcpy(to, sum, (size_t)(4 * least(outputs, LANES)));
}

#endif

/* The sums of `count` pixels, to[pixel * to_step + output]. */
static void products(const uint8_t *const *places, word count, const struct sums *s, int32_t *to,
                     word to_step, word outputs) {
    for (word block = 0; block * LANES < outputs;) {
        const word blocks = least((outputs - block * LANES + LANES - 1) / LANES, MOST_BLOCKS);
        const word step = PRODUCT_ROWS(blocks);
        const word left = outputs - block * LANES;
        for (word i = 0; i < count; i += step) {
            const word rows = least(step, count - i);
            int32_t *part = to + i * to_step + block * LANES;
            switch (blocks) {
#if MOST_BLOCKS > 1
            case 4: products_4(rows, places + i, s, block, part, to_step, left); break;
            case 3: products_3(rows, places + i, s, block, part, to_step, left); break;
            case 2: products_2(rows, places + i, s, block, part, to_step, left); break;
#endif
            default: products_1(rows, places + i, s, block, part, to_step, left); break;
            }
        }
        block += blocks;
    }
}
