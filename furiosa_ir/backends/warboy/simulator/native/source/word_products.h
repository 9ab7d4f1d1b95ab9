/* Sums of products of 16-bit words: pixels x pairs of terms by packed weights, for AVX2.

   Weights are packed [blocks of 16 outputs][pairs of terms][16 outputs][2 terms], int16, less their
   zero point. Windows are copied as words first, some pixels at a time, so that what multiplies
   finds pairs in memory; a last odd term stands beside something that is multiplied by 0. Sums
   begin with the bias, int32 [blocks of 16]. */
#pragma once
#include "products.h"

#ifdef AVX2

#define WORD_ROWS 6

/* Bytes from a pixel's place. */
struct piece {
    word offset, bytes;
};

/* How windows become words: their pieces, one behind the other. */
struct word_windows {
    const struct piece *pieces;
    word piece_count;
    word step; /* words from pixel to pixel */
};

static void widen(const struct word_windows *w, const uint8_t *const *places, word count,
                  int16_t *to) {
    for (word i = 0; i < count; i++) {
        int16_t *pixel = to + i * w->step;
        for (word p = 0; p < w->piece_count; p++) {
            const uint8_t *from = places[i] + w->pieces[p].offset;
            const word bytes = w->pieces[p].bytes;
            for (word k = 0; k < bytes; k += 16) {
                const __m128i x = _mm_loadu_si128((const void *)(from + k));
                _mm256_storeu_si256((void *)(pixel + k), _mm256_cvtepu8_epi16(x));
            }
            pixel += bytes;
        }
    }
}

static inline __attribute__((always_inline)) void word_block(
    const int ROWS, const int16_t *x, word step, word pairs, const int16_t *weight,
    const int32_t *bias, int32_t *to, word to_step, word outputs) {
    __m256i sum[WORD_ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++) {
        sum[r][0] = _mm256_loadu_si256((const void *)bias);
        sum[r][1] = _mm256_loadu_si256((const void *)(bias + 8));
    }
    for (word k = 0; k < pairs; k++, weight += 2 * LANES) {
        const __m256i first = _mm256_loadu_si256((const void *)weight);
        const __m256i second = _mm256_loadu_si256((const void *)(weight + LANES));
#pragma GCC unroll 6
        for (int r = 0; r < ROWS; r++) {
            int32_t two;
            memcpy(&two, x + r * step + 2 * k, 4);
            const __m256i pair = _mm256_set1_epi32(two);
            sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(pair, first));
            sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(pair, second));
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++) store_sums(sum[r], to + r * to_step, outputs);
}

/* Of `count` pixels as words, `outputs` outputs: to[pixel * to_step + output]. */
static void word_products(const int16_t *x, word step, word count, word pairs,
                          const int16_t *weight, const int32_t *bias, int32_t *to, word to_step,
                          word outputs) {
#define CASE(ROWS)                                                                                \
    case ROWS: word_block(ROWS, row, step, pairs, weight, bias, part, to_step, left); break;
    for (word o = 0; o < outputs; o += LANES, weight += 2 * LANES * pairs, bias += LANES)
        for (word i = 0; i < count; i += WORD_ROWS) {
            const int16_t *row = x + i * step;
            int32_t *part = to + i * to_step + o;
            const word left = outputs - o;
            switch (least(WORD_ROWS, count - i)) {
                CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
            default: break;
            }
        }
#undef CASE
}

#endif
