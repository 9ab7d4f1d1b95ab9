/* A window's input: a tile in a dense array with its padding, and where the taps lie in it. */
#pragma once
#include "tiles.h"

/* Reads: offset in scratch, bytes, fill (-1: nothing is left to fill), bits to flip, offset of the
   tile's first element, strides along (N, H, W, C), tile. Answers the dense array. */
static uint8_t *read_padded(const word **plan, const struct memory *memory) {
    uint8_t *dense = memory->scratch + next(plan);
    const word size = next(plan), fill = next(plan);
    const uint8_t flip = (uint8_t)next(plan);
    const word inner = next(plan);
    const word *strides = *plan;
    *plan += 4;
    if (fill >= 0) memset(dense, (int)fill, (size_t)size);
    gather_tile(plan, memory, dense + inner, strides);
    if (flip)
        for (word i = 0; i < size; i++) dense[i] ^= flip;
    return dense;
}

/* Where output pixels lie in the dense array: (N, Ho, Wo) and the bytes from one to the next. */
struct pixels {
    word rows, columns, step_n, step_h, step_w;
};

static struct pixels read_pixels(const word **plan) {
    struct pixels p;
    p.rows = next(plan), p.columns = next(plan);
    p.step_n = next(plan), p.step_h = next(plan), p.step_w = next(plan);
    return p;
}

/* The places of `count` pixels from number `first` on. */
static void place_pixels(const struct pixels *p, const uint8_t *dense, word first, word count,
                         const uint8_t **places) {
    word column = first % p->columns, row = first / p->columns;
    word image = row / p->rows;
    row %= p->rows;
    const uint8_t *line = dense + image * p->step_n + row * p->step_h;
    for (word i = 0; i < count; i++) {
        places[i] = line + column * p->step_w;
        if (++column < p->columns) continue;
        column = 0;
        if (++row == p->rows) row = 0, image++;
        line = dense + image * p->step_n + row * p->step_h;
    }
}
