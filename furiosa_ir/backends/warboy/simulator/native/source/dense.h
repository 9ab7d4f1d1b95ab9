/* Dense convolutions and fully connected layers: products of windows, in the way that the processor
   multiplies bytes fastest. */
#pragma once
#include "products.h"
#include "windows.h"
#include "word_products.h"
#ifdef __AMX_INT8__
#include "matrix_tiles.h"
#endif

/* Words: groups, bytes of a pixel from group to group, outputs of a group, segments, each a
   segment's offset and groups of 4; weights, bytes of a block of them, of a group; bias; zero point
   of the weights, ones for its window sums (packed), offset in scratch of those; whether groups of
   terms are packed for matrix_tiles.h, and offset in scratch of the windows as that has them. */
static void accumulate_bytes(const struct window *w, const word *plan, word count, uint8_t *to,
                             const struct memory *memory) {
    const word groups = next(&plan), inner = next(&plan), outputs = next(&plan);
    struct sums s;
    s.segment_count = next(&plan);
    s.segments = (const struct segment *)plan;
    plan += 2 * s.segment_count;
    s.weight = (const int8_t *)next(&plan);
    s.block = next(&plan);
    const word group_bytes = next(&plan);
    const int32_t *bias = (const int32_t *)next(&plan);
    const int32_t weight_zp = (int32_t)next(&plan);
    struct sums ones = s;
    ones.weight = (const int8_t *)next(&plan);
    int32_t *window_sums = (int32_t *)(memory->scratch + next(&plan));
    const word tiled = next(&plan);
    uint8_t *packed = memory->scratch + next(&plan);
    (void)tiled, (void)packed;
    int32_t *accumulator = (int32_t *)to;
    for (word g = 0; g < groups; g++) {
#ifdef __AMX_INT8__
        /* Of few pixels a tile would be mostly empty. */
        if (tiled && count > 4)
            matrix_products(w->places, count, &s, packed, accumulator, w->channels, outputs);
        else
#endif
            products(w->places, count, &s, accumulator, w->channels, outputs);
        if (weight_zp) products(w->places, count, &ones, window_sums, 1, 1);
        for (word i = 0; i < count; i++) {
            int32_t *restrict pixel = accumulator + i * w->channels;
            const int32_t less = weight_zp ? weight_zp * window_sums[i] : 0;
            for (word o = 0; o < outputs; o++) pixel[o] += bias[o] - less;
        }
        s.weight += group_bytes;
        bias += outputs;
        accumulator += outputs;
        if (groups > 1)
            for (word i = 0; i < count; i++) w->places[i] += inner;
    }
}

#ifdef AVX2

/* Words: groups, bytes of a pixel from group to group, outputs of a group, pieces, each a piece's
   offset and bytes; weights and bias, as word_products.h has them, group behind group; pairs of
   terms, how many pixels are words at a time, words of a pixel, offset in scratch of those. */
static void accumulate_words(const struct window *w, const word *plan, word count, uint8_t *to,
                             const struct memory *memory) {
    const word groups = next(&plan), inner = next(&plan), outputs = next(&plan);
    struct word_windows windows;
    windows.piece_count = next(&plan);
    windows.pieces = (const struct piece *)plan;
    plan += 2 * windows.piece_count;
    const int16_t *weight = (const int16_t *)next(&plan);
    const int32_t *bias = (const int32_t *)next(&plan);
    const word pairs = next(&plan), most = next(&plan);
    windows.step = next(&plan);
    int16_t *widened = (int16_t *)(memory->scratch + next(&plan));
    const word padded = (outputs + LANES - 1) / LANES * LANES;
    int32_t *accumulator = (int32_t *)to;
    for (word g = 0; g < groups; g++) {
        for (word i = 0; i < count; i += most) {
            const word pixels = least(most, count - i);
            widen(&windows, w->places + i, pixels, widened);
            word_products(widened, windows.step, pixels, pairs, weight, bias,
                          accumulator + i * w->channels, w->channels, outputs);
        }
        weight += 2 * pairs * padded, bias += padded, accumulator += outputs;
        if (groups > 1)
            for (word i = 0; i < count; i++) w->places[i] += inner;
    }
}

#endif

/* Words: the window, whether the weights are words, words of what follows, that, the epilogue. */
static enum outcome run_dense(const word *plan, const struct memory *memory) {
    const struct window w = read_window(&plan, memory);
    const word are_words = next(&plan), size = next(&plan);
    const word *epilogue = plan + size;
#ifdef AVX2
    if (are_words) return run_window(&w, accumulate_words, plan, epilogue, 4, memory);
#endif
    (void)are_words;
#ifdef __AMX_INT8__
    if (w.count > 4) {
        configure_tiles();
        const enum outcome outcome = run_window(&w, accumulate_bytes, plan, epilogue, 4, memory);
        _tile_release();
        return outcome;
    }
#endif
    return run_window(&w, accumulate_bytes, plan, epilogue, 4, memory);
}
