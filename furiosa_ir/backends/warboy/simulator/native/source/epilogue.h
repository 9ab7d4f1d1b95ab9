/* What follows the accumulator: operands, the program, the store. `epilogue_words.py` writes it. */
#pragma once
#include "vector.h"

enum program { NOTHING, LINES, ARRAYS };

#define MOST_OPERANDS 16

/* Words: kind of program, whether there is an accumulator, operands; of each operand whether it is
   read and, if so, its place in scratch, strides and tile; the result's place in scratch, element
   and strides, words of the program, the program, the result's tile. */
struct epilogue {
    enum program kind;
    struct value inputs[MOST_OPERANDS + 1];
    word first_operand, input_count;
    uint8_t *result;
    word element;
    const word *strides, *program, *tile;
    struct line_program lines;
};

static void begin_epilogue(struct epilogue *e, const word *plan, const struct memory *memory) {
    e->kind = (enum program)next(&plan);
    e->first_operand = next(&plan);
    e->input_count = e->first_operand + next(&plan);
    for (word i = e->first_operand; i < e->input_count; i++) {
        e->inputs[i] = (struct value){0, 0};
        if (!next(&plan)) continue;
        e->inputs[i].data = memory->scratch + next(&plan);
        const word *strides = plan;
        plan += 4;
        gather_tile(&plan, memory, e->inputs[i].data, strides);
    }
    e->result = memory->scratch + next(&plan);
    e->element = next(&plan);
    e->strides = plan, plan += 4;
    const word size = next(&plan);
    e->program = plan;
    e->tile = plan + size;
    if (e->kind == LINES) e->lines = read_line_program(plan, memory);
}

/* `count` pixels from number `first` on, whose accumulators are given. */
static enum outcome run_pixels(const struct epilogue *e, word first, word count, uint8_t *accumulator) {
    struct value given[MOST_OPERANDS + 1];
    const word start = first * e->lines.channels;
    for (word i = 0; i < e->input_count; i++) {
        given[i] = e->inputs[i];
        if (e->lines.inputs[2 * i] == 1) given[i].data += start * e->lines.inputs[2 * i + 1];
    }
    if (e->first_operand) given[0].data = accumulator;
    return run_lines(&e->lines, given, count, e->result + start * e->element, e->element);
}

static void store_result(const struct epilogue *e, const struct memory *memory, uint8_t *result) {
    const word *tile = e->tile;
    scatter_tile(&tile, memory, result, e->strides);
}

/* All `pixels` at once; `accumulator` may be nothing. */
static enum outcome finish_epilogue(struct epilogue *e, const struct memory *memory, word pixels,
                                    uint8_t *accumulator) {
    if (e->first_operand) e->inputs[0].data = accumulator;
    enum outcome outcome = FINE;
    if (e->kind == LINES) outcome = run_pixels(e, 0, pixels, accumulator);
    if (e->kind == ARRAYS) outcome = run_arrays(e->program, memory, e->inputs, e->result);
    if (!outcome) store_result(e, memory, e->kind == NOTHING ? e->inputs[0].data : e->result);
    return outcome;
}

/* Vector: pixels, epilogue. */
static enum outcome run_vector(const word *plan, const struct memory *memory) {
    struct epilogue e;
    const word pixels = next(&plan);
    begin_epilogue(&e, plan, memory);
    return finish_epilogue(&e, memory, pixels, 0);
}
