/* The vector engine: programs on lines (pieces of whole pixels, one value a channel repeated), or on
   whole arrays where an instruction works along an axis. `vector_words.py` writes them. */
#pragma once
#include "rescale.h"
#ifdef AVX512
#include "rescale_512.h"
#endif
#include "tiles.h"

enum instruction { RESCALE, ADD, SUB, MUL, MINIMUM, MAXIMUM, DIVIDE, CLAMP, LOOKUP, REDUCE, GATHER,
                   INTERPOLATE, RESCALE_BY };

/* Where an operand of an instruction is: a register, a line of int64 constants, or an array of
   such. */
enum source { REGISTER, LINE, ARRAY };

#define MOST_REGISTERS 128
#define INSTRUCTION_WORDS 16
#define PLACED_WORDS 20 /* what follows of each instruction on whole arrays */

struct value {
    uint8_t *data;
    word element;
};

/* Elements as int64: the array itself, or a copy in `line`. */
static const int64_t *as_wide(struct value v, word n, int64_t *restrict line) {
    if (v.element == 8) return (const int64_t *)v.data;
    if (v.element == 4) {
        const int32_t *x = (const int32_t *)v.data;
        for (word i = 0; i < n; i++) line[i] = x[i];
    } else {
        const int8_t *x = (const int8_t *)v.data;
        for (word i = 0; i < n; i++) line[i] = x[i];
    }
    return line;
}

/* Elements as int32, less the zero point; int8 or int32 ones. */
static const int32_t *as_narrow(struct value v, word n, int32_t zp, int32_t *restrict line) {
    if (v.element == 4) return (const int32_t *)v.data; /* zp is 0 */
    const int8_t *x = (const int8_t *)v.data;
    for (word i = 0; i < n; i++) line[i] = x[i] - zp;
    return line;
}

/* The low bytes of each element, wrapped. */
static void narrow(struct value to, const int64_t *restrict from, word n) {
    if (to.element == 8) {
        if ((int64_t *)to.data != from) memcpy(to.data, from, (size_t)(8 * n));
    } else if (to.element == 4) {
        int32_t *restrict out = (int32_t *)to.data;
        for (word i = 0; i < n; i++) out[i] = (int32_t)from[i];
    } else {
        int8_t *restrict out = (int8_t *)to.data;
        for (word i = 0; i < n; i++) out[i] = (int8_t)from[i];
    }
}

static int64_t wrapped(int64_t x, word element) {
    return element == 8 ? x : element == 4 ? (int32_t)x : (int8_t)x;
}

static void rescale_line(const word *op, struct value x, struct value to, word n, int64_t *line,
                         word room) {
    (void)room;
    const struct factors f = {
        (const int32_t *)op[7], (const int64_t *)op[8], (const int64_t *)op[9],
        (const int64_t *)op[10], op[11], op[12], op[13], op[14],
    };
    const int rounding = (int)op[1] & ~(NEAREST | WHOLE);
    if (op[1] & WHOLE) {
        const int32_t *from = as_narrow(x, n, (int32_t)f.input_zp, (int32_t *)line);
        int64_t *restrict products = (int64_t *)to.data;
        for (word i = 0; i < n; i++)
            products[i] = (int64_t)from[i] * (int64_t)f.multiplier[i] + f.output_zp;
        return;
    }
#if defined(AVX512) || defined(AVX2)
    if (op[1] & NEAREST) {
        const int is_wide = x.element == 8;
        const void *from = is_wide ? (const void *)x.data
                                   : as_narrow(x, n, (int32_t)f.input_zp, (int32_t *)line);
        rescale_nearest(rounding, is_wide ? 8 : 4, from, to.element, to.data, n, &f,
                        (const double *)op[15]);
        return;
    }
#endif
#ifdef AVX512
    if (op[15] && rounding == DOUBLE && x.element == 4 && to.element < 8) {
        double_16((const int32_t *)x.data, to.element, to.data, n, &f, (const int32_t *)op[15]);
        return;
    }
    if (rounding != DOUBLE_LEFT && x.element != 1) {
        const int narrow = x.element == 4 && f.input_zp == 0;
        rescale_elements(rounding, x.element, narrow, to.element, x.data, to.data, n, &f);
        return;
    }
    if (rounding != DOUBLE_LEFT && f.input_zp > -(1 << 24) && f.input_zp < 1 << 24) {
        rescale_elements(rounding, 1, 1, to.element, x.data, to.data, n, &f);
        return;
    }
#endif
    const int small = f.input_zp > -(1 << 24) && f.input_zp < 1 << 24;
    if (rounding != DOUBLE_LEFT &&
        ((x.element == 4 && f.input_zp == 0) || (x.element == 1 && small))) {
        const int32_t *from = as_narrow(x, n, (int32_t)f.input_zp, (int32_t *)line);
#ifdef AVX2
        if (op[15] && to.element < 8) {
            rescale_eights(rounding, from, to.element, to.data, n, &f, (const int32_t *)op[15], room);
            return;
        }
#endif
        switch (to.element) {
        case 1: rescale_narrow_1(rounding, from, (int8_t *)to.data, n, &f); return;
        case 4: rescale_narrow_4(rounding, from, (int32_t *)to.data, n, &f); return;
        default: rescale_narrow_8(rounding, from, (int64_t *)to.data, n, &f); return;
        }
    }
    const int64_t *from = as_wide(x, n, line);
    switch (to.element) {
    case 1: rescale_wide_1(rounding, from, (int8_t *)to.data, n, &f); return;
    case 4: rescale_wide_4(rounding, from, (int32_t *)to.data, n, &f); return;
    default: rescale_wide_8(rounding, from, (int64_t *)to.data, n, &f); return;
    }
}

/* The table by the byte of the element: op[7]. Constants come as int64, to `line`. */
static void lookup_line(const word *op, struct value x, struct value to, word n, int64_t *line) {
    const uint8_t *from = x.data;
    if (x.element == 8) {
        uint8_t *bytes = (uint8_t *)line;
        for (word i = 0; i < n; i++) bytes[i] = (uint8_t)((const int64_t *)x.data)[i];
        from = bytes;
    }
#ifdef AVX512
    if (to.element == 4) {
        for (word i = 0; i < n; i += 16) {
            const __mmask16 some = n - i >= 16 ? 0xffff : (__mmask16)((1 << (n - i)) - 1);
            const __m512i index = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(some, from + i));
            const __m512i found = _mm512_i32gather_epi32(index, (const void *)op[7], 4);
            _mm512_mask_storeu_epi32((int32_t *)to.data + i, some, found);
        }
        return;
    }
#endif
    if (to.element == 1) {
        const int8_t *table = (const int8_t *)op[7];
        for (word i = 0; i < n; i++) ((int8_t *)to.data)[i] = table[from[i]];
    } else if (to.element == 4) {
        const int32_t *table = (const int32_t *)op[7];
        for (word i = 0; i < n; i++) ((int32_t *)to.data)[i] = table[from[i]];
    } else {
        const int64_t *table = (const int64_t *)op[7];
        for (word i = 0; i < n; i++) ((int64_t *)to.data)[i] = table[from[i]];
    }
}

static enum outcome divide_line(const word *op, const int64_t *a, const int64_t *b, int64_t *to, word n) {
    for (word i = 0; i < n; i++) {
        if (b[i] <= 0) return BAD_DIVISOR;
        int64_t quotient = a[i] / b[i], remainder = a[i] % b[i];
        if (remainder < 0) quotient--, remainder += b[i];
        const int64_t twice = remainder * 2;
        quotient += twice > b[i] || (twice == b[i] && (quotient & 1));
        quotient += op[11];
        to[i] = quotient < op[12] ? op[12] : quotient > op[13] ? op[13] : quotient;
    }
    return FINE;
}

/* One instruction on n elements. `lines`: room for three lines of int64. */
static enum outcome compute(const word *op, struct value a, struct value b, struct value c,
                            struct value to, word n, int64_t *lines, word line) {
    if (op[0] == RESCALE) {
        rescale_line(op, a, to, n, lines, line);
        return FINE;
    }
    if (op[0] == LOOKUP) {
        lookup_line(op, a, to, n, lines);
        return FINE;
    }
    const int64_t *x = as_wide(a, n, lines);
    int64_t *result = to.element == 8 ? (int64_t *)to.data : lines;
    if (op[0] == CLAMP) {
        for (word i = 0; i < n; i++)
            result[i] = x[i] < op[11] ? op[11] : x[i] > op[12] ? op[12] : x[i];
        narrow(to, result, n);
        return FINE;
    }
    const int64_t *y = as_wide(b, n, lines + line);
    enum outcome outcome = FINE;
    switch (op[0]) {
    case ADD:
        for (word i = 0; i < n; i++) result[i] = x[i] + y[i];
        break;
    case SUB:
        for (word i = 0; i < n; i++) result[i] = x[i] - y[i];
        break;
    case MUL:
        for (word i = 0; i < n; i++) result[i] = x[i] * y[i];
        break;
    case MINIMUM:
    case MAXIMUM:
        /* Operands wrap to the result's type first. */
        for (word i = 0; i < n; i++) {
            const int64_t p = wrapped(x[i], to.element), q = wrapped(y[i], to.element);
            result[i] = (p < q) == (op[0] == MINIMUM) ? p : q;
        }
        break;
    case RESCALE_BY: {
        const struct factors f = {0, 0, 0, 0, op[11], op[12], op[13], op[14]};
        const int64_t *shift = as_wide(c, n, lines + 2 * line);
        outcome = rescale_by((int)op[1], x, y, shift, result, n, &f);
        break;
    }
    default: outcome = divide_line(op, x, y, result, n);
    }
    narrow(to, result, n);
    return outcome;
}

static struct value operand(const word *source, const struct value *registers) {
    if (source[0] == REGISTER) return registers[source[1]];
    return (struct value){(uint8_t *)source[1], 8};
}

/* A program on lines. Words: channels, line, offset in scratch, inputs; of each input how it is
   given (0: not at all, 1: one value an element, 2: one a channel) and its element; instructions. */
struct line_program {
    word channels, line;
    uint8_t *scratch;
    word input_count, instruction_count;
    const word *inputs, *instructions;
};

static struct line_program read_line_program(const word *plan, const struct memory *memory) {
    struct line_program p;
    p.channels = next(&plan), p.line = next(&plan);
    p.scratch = memory->scratch + next(&plan);
    p.input_count = next(&plan);
    p.inputs = plan, plan += 2 * p.input_count;
    p.instruction_count = next(&plan);
    p.instructions = plan;
    return p;
}

/* The result of `pixels` pixels, of which `given` holds the inputs. */
static enum outcome run_lines(const struct line_program *p, const struct value *given, word pixels,
                     uint8_t *to, word element) {
    struct value registers[MOST_REGISTERS];
    const word room = 8 * p->line;
    int64_t *lines = (int64_t *)p->scratch;
    uint8_t *places = p->scratch + 3 * room;
    for (word i = 0; i < p->input_count; i++) {
        registers[i] = (struct value){given[i].data, p->inputs[2 * i + 1]};
        if (p->inputs[2 * i] != 2) continue;
        const word size = p->channels * p->inputs[2 * i + 1];
        registers[i].data = places + i * room;
        for (word c = 0; c < p->line / p->channels; c++)
            memcpy(registers[i].data + c * size, given[i].data, (size_t)size);
    }
    const word total = pixels * p->channels;
    for (word start = 0; start < total; start += p->line) {
        const word n = least(p->line, total - start);
        for (word i = 0; i < p->input_count; i++)
            if (p->inputs[2 * i] == 1)
                registers[i].data = given[i].data + start * p->inputs[2 * i + 1];
        for (word i = 0; i < p->instruction_count; i++) {
            const word *op = p->instructions + i * INSTRUCTION_WORDS;
            struct value *made = registers + p->input_count + i;
            made->element = op[2];
            made->data = i + 1 == p->instruction_count
                             ? to + start * element
                             : places + (p->input_count + i) * room;
            const struct value a = operand(op + 3, registers), b = operand(op + 5, registers);
            const enum outcome outcome = compute(op, a, b, b, *made, n, lines, p->line);
            if (outcome) return outcome;
        }
    }
    return FINE;
}

/* Whole arrays --------------------------------------------------------------------------- */

static word count_of(const word *shape) { return shape[0] * shape[1] * shape[2] * shape[3]; }

/* The row (n, h, w) of an array that broadcasts to it. */
static uint8_t *row_of(struct value v, const word *shape, word n, word h, word w) {
    n = shape[0] == 1 ? 0 : n, h = shape[1] == 1 ? 0 : h, w = shape[2] == 1 ? 0 : w;
    return v.data + ((n * shape[1] + h) * shape[2] + w) * shape[3] * v.element;
}

/* One value for a whole row, where an operand has one channel and the result several. */
static struct value spread(struct value v, word n, int64_t *line) {
    const int64_t x = v.element == 8   ? *(int64_t *)v.data
                      : v.element == 4 ? *(int32_t *)v.data
                                       : *(int8_t *)v.data;
    for (word i = 0; i < n; i++) line[i] = x;
    return (struct value){(uint8_t *)line, 8};
}

/* An operand at row (n, h, w) of the result. */
static struct value row_operand(struct value v, word kind, const word *shape, word channels, word n,
                                word h, word w, int64_t *line) {
    if (kind == LINE) return v;
    v.data = row_of(v, shape, n, h, w);
    return shape[3] == channels ? v : spread(v, channels, line);
}

/* `lines`: room for six lines. */
static enum outcome compute_array(const word *op, struct value a, struct value b, struct value c,
                                  struct value to, int64_t *lines) {
    const word *placed = op + INSTRUCTION_WORDS;
    const word *shape = placed + 1, *a_shape = placed + 5, *b_shape = placed + 9,
               *c_shape = placed + 14;
    const word line = placed[13], total = count_of(shape), third = op[0] == RESCALE_BY ? op[7] : LINE;
    enum outcome outcome = FINE;
    if ((op[3] == LINE || memcmp(shape, a_shape, 32) == 0) &&
        (op[5] == LINE || memcmp(shape, b_shape, 32) == 0) &&
        (third == LINE || memcmp(shape, c_shape, 32) == 0)) {
        for (word start = 0; start < total && !outcome; start += line) {
            struct value x = a, y = b, z = c, r = to;
            if (op[3] != LINE) x.data += start * x.element;
            if (op[5] != LINE) y.data += start * y.element;
            if (third != LINE) z.data += start * z.element;
            r.data += start * r.element;
            outcome = compute(op, x, y, z, r, least(line, total - start), lines, line);
        }
        return outcome;
    }
    const word channels = shape[3];
    struct value r = to;
    for (word n = 0; n < shape[0]; n++)
        for (word h = 0; h < shape[1]; h++)
            for (word w = 0; w < shape[2] && !outcome; w++, r.data += channels * r.element) {
                int64_t *spreads = lines + 3 * line;
                const struct value x = row_operand(a, op[3], a_shape, channels, n, h, w, spreads);
                const struct value y =
                    row_operand(b, op[5], b_shape, channels, n, h, w, spreads + line);
                const struct value z =
                    row_operand(c, third, c_shape, channels, n, h, w, spreads + 2 * line);
                outcome = compute(op, x, y, z, r, channels, lines, line);
            }
    return outcome;
}

static int64_t element_of(struct value v, word i) {
    return v.element == 8   ? ((const int64_t *)v.data)[i]
           : v.element == 4 ? ((const int32_t *)v.data)[i]
                            : ((const int8_t *)v.data)[i];
}

static void put(struct value v, word i, int64_t x) {
    if (v.element == 8) ((int64_t *)v.data)[i] = x;
    else if (v.element == 4) ((int32_t *)v.data)[i] = (int32_t)x;
    else ((int8_t *)v.data)[i] = (int8_t)x;
}

/* op[1]: 1 is the greatest, 0 the sum of (x - op[11]) in the result's type. */
static void reduce_array(const word *op, struct value x, struct value to, int64_t *sums) {
    const word *placed = op + INSTRUCTION_WORDS;
    const word *shape = placed + 1, *from = placed + 5;
    const word total = count_of(shape);
    const int maximum = op[1] == 1;
    for (word i = 0; i < total; i++) sums[i] = maximum ? INT64_MIN : 0;
    word steps[4], step = 1;
    for (int axis = 3; axis >= 0; axis--) {
        steps[axis] = shape[axis] == 1 ? 0 : step;
        step *= shape[axis];
    }
    word i = 0;
    for (word n = 0; n < from[0]; n++)
        for (word h = 0; h < from[1]; h++)
            for (word w = 0; w < from[2]; w++) {
                int64_t *sum = sums + n * steps[0] + h * steps[1] + w * steps[2];
                for (word c = 0; c < from[3]; c++, i++, sum += steps[3]) {
                    const int64_t v = element_of(x, i);
                    if (!maximum) *sum += v - op[11];
                    else if (v > *sum) *sum = v;
                }
            }
    narrow(to, sums, total);
}

/* An array is [outer][axis][inner] to an instruction along one axis. */
static void along(const word *shape, word axis, word *outer, word *inner) {
    *outer = *inner = 1;
    for (word i = 0; i < axis; i++) *outer *= shape[i];
    for (word i = axis + 1; i < 4; i++) *inner *= shape[i];
}

static void gather_array(const word *op, struct value x, struct value to) {
    const word *placed = op + INSTRUCTION_WORDS;
    const word axis = op[11], count = op[12], size = placed[5 + axis];
    const int64_t *indices = (const int64_t *)op[7];
    word outer, inner;
    along(placed + 1, axis, &outer, &inner);
    inner *= x.element;
    for (word o = 0; o < outer; o++)
        for (word j = 0; j < count; j++)
            memcpy(to.data + (o * count + j) * inner, x.data + (o * size + indices[j]) * inner,
                   (size_t)inner);
}

#define MIX(IN, OUT)                                                                              \
    {                                                                                             \
        const IN *restrict p = (const IN *)x.data + low, *restrict q = (const IN *)x.data + high; \
        OUT *restrict r = (OUT *)to.data + out;                                                   \
        for (word i = 0; i < inner; i++)                                                          \
            r[i] = (OUT)((OUT)p[i] * (OUT)lower_weight + (OUT)q[i] * (OUT)upper_weight);          \
    }

static void interpolate_array(const word *op, struct value x, struct value to) {
    const word *placed = op + INSTRUCTION_WORDS;
    const word axis = op[11], count = op[12], size = placed[5 + axis];
    const int64_t *tables = (const int64_t *)op[7];
    word outer, inner;
    along(placed + 1, axis, &outer, &inner);
    for (word o = 0; o < outer; o++)
        for (word j = 0; j < count; j++) {
            const word low = (o * size + tables[j]) * inner, out = (o * count + j) * inner;
            const word high = (o * size + tables[count + j]) * inner;
            const int64_t lower_weight = tables[2 * count + j], upper_weight = tables[3 * count + j];
            if (x.element == 4 && to.element == 8) MIX(int32_t, int64_t)
            else if (x.element == 4 && to.element == 4) MIX(int32_t, int32_t)
            else if (x.element == 8 && to.element == 8) MIX(int64_t, int64_t)
            else if (x.element == 1 && to.element == 4) MIX(int8_t, int32_t)
            else
                for (word i = 0; i < inner; i++)
                    put(to, out + i,
                        wrapped(element_of(x, low + i), to.element) * lower_weight +
                            wrapped(element_of(x, high + i), to.element) * upper_weight);
        }
}
#undef MIX

/* A program on whole arrays. Words: offset in scratch of the lines, inputs; of each its element;
   instructions, each with its result's offset in scratch, the shapes of result and operands, and
   its line. The last result stands in `to`. */
static enum outcome run_arrays(const word *plan, const struct memory *memory, const struct value *given,
                      uint8_t *to) {
    struct value registers[MOST_REGISTERS];
    int64_t *lines = (int64_t *)(memory->scratch + next(&plan));
    const word inputs = next(&plan);
    for (word i = 0; i < inputs; i++) registers[i] = (struct value){given[i].data, next(&plan)};
    const word count = next(&plan);
    for (word i = 0; i < count; i++, plan += INSTRUCTION_WORDS + PLACED_WORDS) {
        struct value *made = registers + inputs + i;
        made->element = plan[2];
        made->data = i + 1 == count ? to : memory->scratch + plan[INSTRUCTION_WORDS];
        const struct value a = operand(plan + 3, registers), b = operand(plan + 5, registers);
        switch (plan[0]) {
        case REDUCE: reduce_array(plan, a, *made, lines); break;
        case GATHER: gather_array(plan, a, *made); break;
        case INTERPOLATE: interpolate_array(plan, a, *made); break;
        default: {
            struct value c = b;
            if (plan[0] == RESCALE_BY) c = operand(plan + 7, registers);
            const enum outcome outcome = compute_array(plan, a, b, c, *made, lines);
            if (outcome) return outcome;
        }
        }
    }
    return FINE;
}
