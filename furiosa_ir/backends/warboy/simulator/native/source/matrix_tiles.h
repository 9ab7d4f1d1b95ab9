/* Sums of products in AMX's tiles: 16 pixels x 64 terms by 64 terms x 16 outputs at a time.

   The packing is that of products.h with groups of terms in multiples of 16, so that a block's 16
   groups are a tile. Windows are laid out as tiles, too, some pixels at a time: a tile whose rows lie
   a power of two apart would find them in a few sets of the cache. Rows that are no pixels are
   computed as well, of whatever lies there, and thrown away. */
#pragma once
#include <immintrin.h>

#include "products.h"

#define TILE_GROUPS 16
#define TILE_BYTES 64 /* a row */
#define TILE (LANES * TILE_BYTES)

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
    if ((ROWS) >= LANES && (OUTPUTS) >= LANES) {                                                  \
        _tile_stored(NUMBER, TO, 4 * to_step);                                                    \
    } else if ((ROWS) > 0 && (OUTPUTS) > 0) {                                                     \
        int32_t sums[LANES * LANES];                                                              \
        _tile_stored(NUMBER, sums, 4 * LANES);                                                    \
        copy_sums(sums, TO, to_step, least(ROWS, LANES), OUTPUTS);                                              \
    }

/* Two tiles of 16 pixels, as `pack_pixels` leaves them, x 32 outputs. */
static void tile_products(const uint8_t *first, const uint8_t *second, word groups,
                          const struct sums *s, const int8_t *weight, int32_t *to, word to_step,
                          word rows, word outputs) {
    const int8_t *beside = outputs > LANES ? weight + s->block : weight;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (word k = 0; k < groups; k += TILE_GROUPS) {
        _tile_loadd(4, first, TILE_BYTES);
        _tile_loadd(6, weight, TILE_BYTES);
        _tile_dpbusd(0, 4, 6);
        _tile_loadd(7, beside, TILE_BYTES);
        _tile_dpbusd(1, 4, 7);
        _tile_loadd(5, second, TILE_BYTES);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
        first += TILE, second += TILE, weight += TILE, beside += TILE;
    }
    int32_t *below = to + LANES * to_step;
    STORE_TILE(0, to, least(rows, LANES), outputs)
    STORE_TILE(1, to + LANES, least(rows, LANES), outputs - LANES)
    STORE_TILE(2, below, rows - LANES, outputs)
    STORE_TILE(3, below + LANES, rows - LANES, outputs - LANES)
}

/* Lays the windows of `count` pixels out as tiles: for each 16 pixels, one behind the other. */
static void pack_pixels(const uint8_t *const *places, word count, const struct sums *s, uint8_t *to) {
    for (word i = 0; i < count; i += LANES) {
        const word rows = least(LANES, count - i);
        for (word j = 0; j < s->segment_count; j++) {
            const word offset = s->segments[j].offset, bytes = 4 * s->segments[j].groups;
            for (word k = 0; k < bytes; k += TILE_BYTES, to += TILE)
                for (word r = 0; r < rows; r++)
                    memcpy(to + r * TILE_BYTES, places[i + r] + offset + k, TILE_BYTES);
        }
    }
}

/* As `products`. `packed`: room for the windows of all pixels and 31 more. */
static void matrix_products(const uint8_t *const *places, word count, const struct sums *s,
                            uint8_t *packed, int32_t *to, word to_step, word outputs) {
    word groups = 0;
    for (word j = 0; j < s->segment_count; j++) groups += s->segments[j].groups;
    pack_pixels(places, count, s, packed);
    const word row = groups / TILE_GROUPS * TILE;
    for (word block = 0; block * LANES < outputs; block += 2)
        for (word i = 0; i < count; i += 2 * LANES) {
            const uint8_t *first = packed + i / LANES * row;
            const uint8_t *second = count - i > LANES ? first + row : first;
            tile_products(first, second, groups, s, s->weight + block * s->block,
                          to + i * to_step + block * LANES, to_step, count - i,
                          outputs - block * LANES);
        }
}
