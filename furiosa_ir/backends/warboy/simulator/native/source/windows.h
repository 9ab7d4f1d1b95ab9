/* Kernels with windows: what they have in common, depthwise convolutions, pools. */
#pragma once
#include "epilogue.h"

/* What stands in front of the epilogue of each of them. Words: window's input, bytes cropped, pixels, count of
   pixels, pixels at a time, offset in scratch of their places and of their accumulators, channels
   of the accumulator. */
struct window {
    uint8_t *dense;
    word cropped; /* bytes in front of the first pixel */
    struct pixels pixels;
    word count, chunk;
    const uint8_t **places;
    uint8_t *accumulator;
    word channels;
};

static struct window read_window(const word **plan, const struct memory *memory) {
    struct window w;
    w.dense = read_padded(plan, memory);
    w.cropped = next(plan);
    w.pixels = read_pixels(plan);
    w.count = next(plan), w.chunk = next(plan);
    w.places = (const uint8_t **)(memory->scratch + next(plan));
    w.accumulator = memory->scratch + next(plan);
    w.channels = next(plan);
    return w;
}

/* The accumulators of `count` pixels, whose places are in w->places. */
typedef void accumulate(const struct window *w, const word *plan, word count, uint8_t *to,
                        const struct memory *memory);

static enum outcome run_window(const struct window *w, accumulate *kernel, const word *plan,
                               const word *epilogue, word element, const struct memory *memory) {
    struct epilogue e;
    begin_epilogue(&e, epilogue, memory);
    const int whole = e.kind != LINES;
    for (word first = 0; first < w->count; first += w->chunk) {
        const word count = least(w->chunk, w->count - first);
        place_pixels(&w->pixels, w->dense + w->cropped, first, count, w->places);
        uint8_t *to = w->accumulator + (whole ? first * w->channels * element : 0);
        kernel(w, plan, count, to, memory);
        const enum outcome outcome = whole ? FINE : run_pixels(&e, first, count, to);
        if (outcome) return outcome;
    }
    if (whole) return finish_epilogue(&e, memory, w->count, w->accumulator);
    store_result(&e, memory, e.result);
    return FINE;
}

#ifdef AVX512

/* One pixel's sums of BLOCKS * 16 channels, over all taps. */
static inline __attribute__((always_inline)) void depthwise_block(
    const int BLOCKS, const uint8_t *place, const word *taps, word tap_count, const int32_t *weight,
    word weight_step, const int32_t *bias, int32_t *to, word channels) {
    __m512i sum[4];
#pragma GCC unroll 4
    for (int b = 0; b < BLOCKS; b++) sum[b] = _mm512_loadu_si512(bias + LANES * b);
    for (word t = 0; t < tap_count; t++, weight += weight_step) {
        const uint8_t *from = place + taps[t];
#pragma GCC unroll 4
        for (int b = 0; b < BLOCKS; b++) {
            const __m128i bytes = _mm_loadu_si128((const void *)(from + LANES * b));
            const __m512i w = _mm512_loadu_si512(weight + LANES * b);
            sum[b] = _mm512_add_epi32(sum[b], _mm512_mullo_epi32(_mm512_cvtepi8_epi32(bytes), w));
        }
    }
#pragma GCC unroll 4
    for (int b = 0; b < BLOCKS; b++) {
        const word left = channels - LANES * b;
        const __mmask16 some = left >= LANES ? 0xffff : (__mmask16)((1 << left) - 1);
        _mm512_mask_storeu_epi32(to + LANES * b, some, sum[b]);
    }
}

#elif defined(AVX2)

static inline __attribute__((always_inline)) void depthwise_block(
    const int BLOCKS, const uint8_t *place, const word *taps, word tap_count, const int32_t *weight,
    word weight_step, const int32_t *bias, int32_t *to, word channels) {
    __m256i sum[8];
#pragma GCC unroll 8
    for (int b = 0; b < 2 * BLOCKS; b++) sum[b] = _mm256_loadu_si256((const void *)(bias + 8 * b));
    for (word t = 0; t < tap_count; t++, weight += weight_step) {
        const uint8_t *from = place + taps[t];
#pragma GCC unroll 8
        for (int b = 0; b < 2 * BLOCKS; b++) {
            const __m256i x = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(from + 8 * b)));
            const __m256i w = _mm256_loadu_si256((const void *)(weight + 8 * b));
            sum[b] = _mm256_add_epi32(sum[b], _mm256_mullo_epi32(x, w));
        }
    }
    int32_t found[4 * LANES];
    int32_t *there = channels >= LANES * BLOCKS ? to : found;
#pragma GCC unroll 8
    for (int b = 0; b < 2 * BLOCKS; b++) _mm256_storeu_si256((void *)(there + 8 * b), sum[b]);
    if (there == found) memcpy(to, found, 4 * (size_t)channels);
}

#else

static inline void depthwise_block(const int BLOCKS, const uint8_t *place, const word *taps,
                                   word tap_count, const int32_t *weight, word weight_step,
                                   const int32_t *bias, int32_t *to, word channels) {
    int32_t sum[4 * LANES];
    memcpy(sum, bias, 4 * LANES * (size_t)BLOCKS);
    for (word t = 0; t < tap_count; t++, weight += weight_step) {
        const int8_t *from = (const int8_t *)place + taps[t];
        for (int c = 0; c < LANES * BLOCKS; c++) sum[c] += from[c] * weight[c];
    }
    memcpy(to, sum, 4 * (size_t)least(channels, LANES * BLOCKS));
}

#endif

/* Words: taps, each a tap's offset; weights int32 [taps][padded channels], padded channels, bias
   int32 [padded channels]. */
static void accumulate_depthwise(const struct window *w, const word *plan, word count, uint8_t *to,
                                 const struct memory *memory) {
    (void)memory;
    const word tap_count = next(&plan);
    const word *taps = plan;
    plan += tap_count;
    const int32_t *weight = (const int32_t *)next(&plan);
    const word step = next(&plan);
    const int32_t *bias = (const int32_t *)next(&plan);
    const word channels = w->channels;
    for (word c = 0; c < channels;) {
        const word blocks = least((channels - c + LANES - 1) / LANES, 4);
#define DEPTHWISE(BLOCKS)                                                                         \
    case BLOCKS:                                                                                  \
        for (word i = 0; i < count; i++)                                                          \
            depthwise_block(BLOCKS, w->places[i] + c, taps, tap_count, weight + c, step, bias + c, \
                            (int32_t *)to + i * channels + c, channels - c);                      \
        break;
        switch (blocks) { DEPTHWISE(1) DEPTHWISE(2) DEPTHWISE(3) DEPTHWISE(4) }
#undef DEPTHWISE
        c += LANES * blocks;
    }
}

static enum outcome run_depthwise(const word *plan, const struct memory *memory) {
    struct window w = read_window(&plan, memory);
    const word multiplier = next(&plan), expanded = next(&plan), elements = next(&plan);
    if (multiplier > 1) {
        /* Each channel as often as it has outputs. */
        uint8_t *to = memory->scratch + expanded;
        for (word i = 0; i < elements; i++) memset(to + i * multiplier, w.dense[i], (size_t)multiplier);
        w.dense = to;
    }
    const word size = next(&plan);
    return run_window(&w, accumulate_depthwise, plan, plan + size, 4, memory);
}

/* Words: whether it is the greatest (or the sum), taps, each a tap's offset, what a sum begins
   with. */
static void accumulate_pool(const struct window *w, const word *plan, word count, uint8_t *to,
                            const struct memory *memory) {
    (void)memory;
    const int maximum = (int)next(&plan);
    const word tap_count = next(&plan);
    const word *taps = plan;
    const int32_t begin = (int32_t)plan[tap_count];
    const word channels = w->channels;
    for (word i = 0; i < count; i++)
        for (word c = 0; c < channels; c += LANES) {
            const word size = least(channels - c, LANES);
            if (maximum) {
                int8_t most[LANES];
                memset(most, -128, LANES);
                for (word t = 0; t < tap_count; t++) {
                    const int8_t *x = (const int8_t *)w->places[i] + taps[t] + c;
                    for (int k = 0; k < LANES; k++) most[k] = x[k] > most[k] ? x[k] : most[k];
                }
                memcpy(to + i * channels + c, most, (size_t)size);
            } else {
                int32_t sum[LANES];
                for (int k = 0; k < LANES; k++) sum[k] = begin;
                for (word t = 0; t < tap_count; t++) {
                    const int8_t *x = (const int8_t *)w->places[i] + taps[t] + c;
                    for (int k = 0; k < LANES; k++) sum[k] += x[k];
                }
                memcpy((int32_t *)to + i * channels + c, sum, 4 * (size_t)size);
            }
        }
}

static enum outcome run_pool(const word *plan, const struct memory *memory) {
    const struct window w = read_window(&plan, memory);
    const word size = next(&plan), element = next(&plan);
    return run_window(&w, accumulate_pool, plan, plan + size, element, memory);
}
