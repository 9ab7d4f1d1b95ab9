/* Strided copies between slices and dense arrays, and between places in DRAM. */
#pragma once
#include "kernels.h"

#define PIXELS 16

/* rows (1 to 4) x columns bytes: to[j * to_step + i] = from[i * from_step + j]. Both loops over
   PIXELS have constant extents, so that they become shuffles. */
#define INTERLEAVE(ROWS)                                                                          \
    static void interleave_##ROWS(uint8_t *to, word to_step, const uint8_t *from, word from_step, \
                                  word columns) {                                                 \
        word j = 0;                                                                               \
        for (; j + PIXELS <= columns; j += PIXELS) {                                              \
            uint8_t mixed[ROWS * PIXELS];                                                         \
            for (int k = 0; k < PIXELS; k++)                                                      \
                for (int i = 0; i < ROWS; i++) mixed[k * ROWS + i] = from[i * from_step + j + k]; \
            for (int k = 0; k < PIXELS; k++)                                                      \
                memcpy(to + (j + k) * to_step, mixed + k * ROWS, ROWS);                           \
        }                                                                                         \
        for (; j < columns; j++)                                                                  \
            for (int i = 0; i < ROWS; i++) to[j * to_step + i] = from[i * from_step + j];         \
    }                                                                                             \
    /* The way back: to[i * to_step + j] = from[j * from_step + i]. */                            \
    static void separate_##ROWS(uint8_t *to, word to_step, const uint8_t *from, word from_step,   \
                                word columns) {                                                   \
        word j = 0;                                                                               \
        for (; j + PIXELS <= columns; j += PIXELS) {                                              \
            uint8_t mixed[ROWS * PIXELS];                                                         \
            for (int k = 0; k < PIXELS; k++)                                                      \
                memcpy(mixed + k * ROWS, from + (j + k) * from_step, ROWS);                       \
            for (int i = 0; i < ROWS; i++)                                                        \
                for (int k = 0; k < PIXELS; k++) to[i * to_step + j + k] = mixed[k * ROWS + i];   \
        }                                                                                         \
        for (; j < columns; j++)                                                                  \
            for (int i = 0; i < ROWS; i++) to[i * to_step + j] = from[j * from_step + i];         \
    }

INTERLEAVE(1)
INTERLEAVE(2)
INTERLEAVE(3)
INTERLEAVE(4)

/* Bytes: `from` [rows][columns] with contiguous columns, `to` [columns][rows] with contiguous
   rows. */
static void interleave(uint8_t *to, word to_step, const uint8_t *from, word from_step, word rows,
                       word columns) {
    word i = 0;
    for (; i + 4 <= rows; i += 4)
        interleave_4(to + i, to_step, from + i * from_step, from_step, columns);
    to += i, from += i * from_step;
    switch (rows - i) {
    case 3: interleave_3(to, to_step, from, from_step, columns); break;
    case 2: interleave_2(to, to_step, from, from_step, columns); break;
    case 1: interleave_1(to, to_step, from, from_step, columns); break;
    default: break;
    }
}

/* Bytes: `from` [columns][rows] with contiguous rows, `to` [rows][columns] with contiguous
   columns. */
static void separate(uint8_t *to, word to_step, const uint8_t *from, word from_step, word rows,
                     word columns) {
    word i = 0;
    for (; i + 4 <= rows; i += 4)
        separate_4(to + i * to_step, to_step, from + i, from_step, columns);
    to += i * to_step, from += i;
    switch (rows - i) {
    case 3: separate_3(to, to_step, from, from_step, columns); break;
    case 2: separate_2(to, to_step, from, from_step, columns); break;
    case 1: separate_1(to, to_step, from, from_step, columns); break;
    default: break;
    }
}

/* `count` runs of `size` bytes each. */
static void copy_runs(uint8_t *to, word to_step, const uint8_t *from, word from_step, word count,
                      word size) {
    if (to_step == size && from_step == size) {
        memcpy(to, from, (size_t)(count * size));
        return;
    }
#define RUNS(SIZE)                                                                                \
    case SIZE:                                                                                    \
        for (word i = 0; i < count; i++) memcpy(to + i * to_step, from + i * from_step, SIZE);    \
        return;
    switch (size) {
        RUNS(1) RUNS(2) RUNS(3) RUNS(4) RUNS(6) RUNS(8) RUNS(12) RUNS(16) RUNS(24) RUNS(32)
        RUNS(48) RUNS(64)
    default:
        for (word i = 0; i < count; i++)
            memcpy(to + i * to_step, from + i * from_step, (size_t)size);
    }
#undef RUNS
}

/* A matrix of elements between any two places. Strides in bytes. */
static void copy_matrix(uint8_t *to, word to_row, word to_column, const uint8_t *from,
                        word from_row, word from_column, word rows, word columns, word element) {
    if (to_column == element && from_column == element) {
        copy_runs(to, to_row, from, from_row, rows, columns * element);
    } else if (to_row == element && from_row == element) {
        copy_runs(to, to_column, from, from_column, columns, rows * element);
    } else if (element == 1 && from_column == 1 && to_row == 1) {
        interleave(to, to_column, from, from_row, rows, columns);
    } else if (element == 1 && from_row == 1 && to_column == 1) {
        separate(to, to_row, from, from_column, rows, columns);
    } else {
        for (word i = 0; i < rows; i++)
            copy_runs(to + i * to_row, to_column, from + i * from_row, from_column, columns,
                      element);
    }
}

/* Between slices and a dense array [N, H, W, C] of any strides. `tile`: element, blocks, and for
   each block its offset in SRAM, extents and strides along (N, Ho, Hi, W, Co, Ci), and its first
   row and channel of the dense array. */
static void copy_tile(const word **plan, uint8_t *sram, uint8_t *dense, const word *strides,
                      int into_sram) {
    const word element = next(plan);
    for (word blocks = next(plan); blocks > 0; blocks--) {
        const word *b = *plan;
        *plan += 15;
        const word *extent = b + 1, *step = b + 7;
        const word channels = extent[5];
        uint8_t *sliced = sram + b[0];
        uint8_t *array = dense + b[13] * strides[1] + b[14] * strides[3];
        for (word n = 0; n < extent[0]; n++)
            for (word ho = 0; ho < extent[1]; ho++)
                for (word hi = 0; hi < extent[2]; hi++) {
                    uint8_t *s = sliced + n * step[0] + ho * step[1] + hi * step[2];
                    uint8_t *d = array + n * strides[0] + (ho * extent[2] + hi) * strides[1];
                    for (word co = 0; co < extent[4]; co++, s += step[4]) {
                        if (into_sram)
                            copy_matrix(s, step[5], step[3], d, strides[3], strides[2], channels,
                                        extent[3], element);
                        else
                            copy_matrix(d, strides[3], strides[2], s, step[5], step[3], channels,
                                        extent[3], element);
                        d += channels * strides[3];
                    }
                }
    }
}

static void gather_tile(const word **plan, const struct memory *memory, uint8_t *dense,
                        const word *strides) {
    copy_tile(plan, memory->sram, dense, strides, 0);
}

static void scatter_tile(const word **plan, const struct memory *memory, uint8_t *dense,
                         const word *strides) {
    copy_tile(plan, memory->sram, dense, strides, 1);
}

/* Load, Store: into_sram, region, address, strides along (N, H, W, C), tile. */
static void move_tile(const word *plan, const struct memory *memory) {
    const int into_sram = (int)next(&plan);
    uint8_t *dram = region(memory, next(&plan));
    dram += next(&plan);
    const word *strides = plan;
    plan += 4;
    copy_tile(&plan, memory->sram, dram, strides, into_sram);
}

/* Load of parameters: region, address, bytes, offset in SRAM, bytes a slice, from slice to slice. */
static void load_flat(const word *plan, const struct memory *memory) {
    const uint8_t *from = region(memory, plan[0]) + plan[1];
    uint8_t *to = memory->sram + plan[3];
    const word share = plan[4];
    for (word rest = plan[2]; rest > 0; rest -= share, from += share, to += plan[5])
        memcpy(to, from, (size_t)least(rest, share));
}

static void copy_dimensions(uint8_t *to, const uint8_t *from, const word *extent, const word *to_step,
                            const word *from_step, word rank, word element) {
    if (rank == 2) {
        copy_matrix(to, to_step[0], to_step[1], from, from_step[0], from_step[1], extent[0],
                    extent[1], element);
        return;
    }
    for (word i = 0; i < extent[0]; i++, to += to_step[0], from += from_step[0])
        copy_dimensions(to, from, extent + 1, to_step + 1, from_step + 1, rank - 1, element);
}

/* Copy: target region and address, source region and address, element, rank (2 or more), extents,
   target strides, source strides. */
static void copy_dram(const word *plan, const struct memory *memory) {
    uint8_t *to = region(memory, plan[0]) + plan[1];
    const uint8_t *from = region(memory, plan[2]) + plan[3];
    const word rank = plan[5];
    copy_dimensions(to, from, plan + 6, plan + 6 + rank, plan + 6 + 2 * rank, rank, plan[4]);
}
