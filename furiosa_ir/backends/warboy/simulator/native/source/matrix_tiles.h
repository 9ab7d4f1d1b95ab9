/* Sums of products in AMX's tiles: 16 pixels x 64 terms by 64 terms x 16 outputs at a time.

   The packing is that of products.h with groups of terms in multiples of 16, so that a block's 16
   groups are a tile. A tile's rows lie equally far apart: pixels of one row of the image. Rows behind
   its end are computed as well, of whatever lies there, and thrown away. */
#pragma once
#include <immintrin.h>

#include "products.h"

#define TILE_GROUPS 16
#define TILE_BYTES 64

static void configure_tiles(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } configuration = {.palette = 1};
    for (int i = 0; i < 8; i++) configuration.bytes[i] = TILE_BYTES, configuration.rows[i] = LANES;
    _tile_loadconfig(&configuration);
}

/* rows x outputs of a tile that has more of either. */
static void copy_sums(const int32_t *from, int32_t *to, word to_step, word rows, word outputs) {
    for (word r = 0; r < rows; r++)
        memcpy(to + r * to_step, from + r * LANES, 4 * (size_t)least(outputs, LANES));
}

#define STORE_TILE(NUMBER, TO, ROWS, OUTPUTS)                                                     \
    if ((ROWS) == LANES && (OUTPUTS) >= LANES) {                                                  \
        _tile_stored(NUMBER, TO, 4 * to_step);                                                    \
    } else if ((ROWS) > 0 && (OUTPUTS) > 0) {                                                     \
        int32_t sums[LANES * LANES];                                                              \
        _tile_stored(NUMBER, sums, 4 * LANES);                                                    \
        copy_sums(sums, TO, to_step, ROWS, OUTPUTS);                                              \
    }

/* Two runs of up to 16 pixels (the second may be empty) x 32 outputs. */
static void tile_products(const uint8_t *first, const uint8_t *second, word pixel_step,
                          const struct sums *s, const int8_t *weight, int32_t *first_to,
                          int32_t *second_to, word to_step, word first_rows, word second_rows,
                          word outputs) {
    const int8_t *beside = outputs > LANES ? weight + s->block : weight;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (word i = 0; i < s->segment_count; i++) {
        const uint8_t *a = first + s->segments[i].offset, *b = second + s->segments[i].offset;
        for (word k = 0; k < s->segments[i].groups; k += TILE_GROUPS) {
            _tile_loadd(4, a, pixel_step);
            _tile_loadd(6, weight, TILE_BYTES);
            _tile_dpbusd(0, 4, 6);
            _tile_loadd(7, beside, TILE_BYTES);
            _tile_dpbusd(1, 4, 7);
            _tile_loadd(5, b, pixel_step);
            _tile_dpbusd(2, 5, 6);
            _tile_dpbusd(3, 5, 7);
            a += TILE_BYTES, b += TILE_BYTES;
            weight += TILE_GROUPS * TILE_BYTES, beside += TILE_GROUPS * TILE_BYTES;
        }
    }
    STORE_TILE(0, first_to, first_rows, outputs)
    STORE_TILE(1, first_to + LANES, first_rows, outputs - LANES)
    STORE_TILE(2, second_to, second_rows, outputs)
    STORE_TILE(3, second_to + LANES, second_rows, outputs - LANES)
}

/* As `products`, of pixels `first` to `first + count` of an image of so many columns. */
static void matrix_products(const uint8_t *const *places, word first, word count, word columns,
                            word pixel_step, const struct sums *s, int32_t *to, word to_step,
                            word outputs) {
    for (word block = 0; block * LANES < outputs; block += 2) {
        const int8_t *weight = s->weight + block * s->block;
        int32_t *column = to + block * LANES;
        for (word i = 0; i < count;) {
            const word size = least(least(LANES, columns - (first + i) % columns), count - i);
            const word next = i + size < count ? i + size : i;
            const word beside =
                next == i ? 0 : least(least(LANES, columns - (first + next) % columns), count - next);
            tile_products(places[i], places[next], pixel_step, s, weight, column + i * to_step,
                          column + next * to_step, to_step, size, beside, outputs - block * LANES);
            i += size + beside;
        }
    }
}
