/* `rescale` of `vector_engine/arithmetic.py`, as `numerics/fixed_point.py` computes it: 64-bit
   integers throughout, so nothing has to be proved of its operands. What the headers below do
   otherwise, `rescale_words.py` has proved of them. */
#pragma once
#include "kernels.h"

#define TIE_PRECISION 1000000000

/* As `fixed_point` numbers them nowhere: `rescale_words.py` does. */
enum rounding { SINGLE, AWAY, EVEN, NEAR_EVEN, DOUBLE, DOUBLE_LEFT };

/* Beside a rounding: there are factors in float64 (rescale_nearest.h), or nothing is rounded, and no
   limit reached. */
#define NEAREST 8
#define WHOLE 16

/* Of each element of a line: the multiplier, the (right) shift, half of 2**shift, and by the
   rounding how near to a tie an element must lie to be looked at (NEAR_EVEN) or the left shift
   (DOUBLE_LEFT). */
struct factors {
    const int32_t *multiplier;
    const int64_t *shift, *half, *extra;
    int64_t input_zp, output_zp, low, high;
};

static int64_t settled(int64_t product, int64_t shift, int64_t half, int64_t rounded) {
    if (shift == 0) return rounded;
    const int64_t one = (int64_t)1 << shift;
    int64_t distance = (product & (one - 1)) - half;
    if (distance < 0) distance = -distance;
    const int64_t size = product < 0 ? -product : product;
    if (distance > (size > one ? size : one) / TIE_PRECISION) return rounded;
    const int64_t below = product >> shift;
    return below + (below & 1);
}

static inline int64_t limited(int64_t value, const struct factors *f) {
    value = value < f->low ? f->low : value;
    value = value > f->high ? f->high : value;
    return value + f->output_zp;
}

/* PRODUCT is an expression of i, that of an element with its multiplier. */
#define ROUND(OUT, PRODUCT, X)                                                                    \
    const int32_t *restrict m = f->multiplier;                                                    \
    const int64_t *restrict shift = f->shift, *restrict half = f->half,                           \
                            *restrict extra = f->extra;                                           \
    const int64_t zp = f->input_zp;                                                               \
    (void)zp, (void)extra;                                                                        \
    switch (rounding) {                                                                           \
    case SINGLE:                                                                                  \
        for (word i = 0; i < n; i++) {                                                            \
            const int64_t v = PRODUCT;                                                            \
            to[i] = (OUT)limited((v + half[i]) >> shift[i], f);                                   \
        }                                                                                         \
        return;                                                                                   \
    case AWAY:                                                                                    \
        for (word i = 0; i < n; i++) {                                                            \
            int64_t v = PRODUCT;                                                                  \
            v += (v >> 63) & -(int64_t)(half[i] != 0);                                            \
            to[i] = (OUT)limited((v + half[i]) >> shift[i], f);                                   \
        }                                                                                         \
        return;                                                                                   \
    case EVEN:                                                                                    \
        for (word i = 0; i < n; i++) {                                                            \
            int64_t v = PRODUCT;                                                                  \
            v += (((v >> shift[i]) & 1) - 1) & -(int64_t)(half[i] != 0);                          \
            to[i] = (OUT)limited((v + half[i]) >> shift[i], f);                                   \
        }                                                                                         \
        return;                                                                                   \
    case NEAR_EVEN:                                                                               \
        for (word start = 0; start < n; start += 64) {                                            \
            const word end = start + 64 < n ? start + 64 : n;                                     \
            int64_t any = 0;                                                                      \
            for (word i = start; i < end; i++) {                                                  \
                const int64_t v = PRODUCT + half[i];                                              \
                const int64_t behind = (v + extra[i]) & (((int64_t)1 << shift[i]) - 1);           \
                any |= behind - 2 * extra[i] - 1;                                                 \
                to[i] = (OUT)limited(v >> shift[i], f);                                           \
            }                                                                                     \
            if (any >= 0) continue;                                                               \
            for (word i = start; i < end; i++) {                                                  \
                const int64_t v = PRODUCT;                                                        \
                to[i] = (OUT)limited(settled(v, shift[i], half[i], (v + half[i]) >> shift[i]), f); \
            }                                                                                     \
        }                                                                                         \
        return;                                                                                   \
    case DOUBLE:                                                                                  \
        for (word i = 0; i < n; i++) {                                                            \
            int64_t v = (PRODUCT + ((int64_t)1 << 30)) >> 31;                                     \
            v += (v >> 63) & -(int64_t)(half[i] != 0);                                            \
            to[i] = (OUT)limited((v + half[i]) >> shift[i], f);                                   \
        }                                                                                         \
        return;                                                                                   \
    default:                                                                                      \
        for (word i = 0; i < n; i++) {                                                            \
            const int64_t d = (int64_t)(X)-zp;                                                    \
            const int64_t shifted = extra[i] ? (int32_t)((uint64_t)d << extra[i]) : d;            \
            int64_t v = (shifted * m[i] + ((int64_t)1 << 30)) >> 31;                              \
            v += (v >> 63) & -(int64_t)(half[i] != 0);                                            \
            to[i] = (OUT)limited((v + half[i]) >> shift[i], f);                                   \
        }                                                                                         \
        return;                                                                                   \
    }

/* From 32 bits without a zero point: the product of two 32-bit numbers is the fast one. */
#define RESCALE(OUT, SUFFIX)                                                                      \
    static void rescale_narrow_##SUFFIX(int rounding, const int32_t *restrict x, OUT *restrict to, \
                                        word n, const struct factors *f) {                        \
        ROUND(OUT, (int64_t)x[i] * (int64_t)m[i], x[i])                                           \
    }                                                                                             \
    static void rescale_wide_##SUFFIX(int rounding, const int64_t *restrict x, OUT *restrict to,  \
                                      word n, const struct factors *f) {                          \
        ROUND(OUT, (x[i] - zp) * (int64_t)m[i], x[i])                                             \
    }
RESCALE(int8_t, 1)
RESCALE(int32_t, 4)
RESCALE(int64_t, 8)
#undef RESCALE
#undef ROUND

#if defined(AVX512) || defined(AVX2)

/* The factors of the elements behind some. */
static struct factors factors_behind(const struct factors *f, word i) {
    struct factors rest = *f;
    rest.multiplier += i, rest.shift += i, rest.half += i, rest.extra += i;
    return rest;
}

static void rescale_narrow(int mode, word element, const int32_t *x, uint8_t *to, word n,
                           const struct factors *f) {
    if (element == 1) rescale_narrow_1(mode, x, (int8_t *)to, n, f);
    else rescale_narrow_4(mode, x, (int32_t *)to, n, f);
}

#endif

#ifdef AVX2
#include "rescale_256.h"
#endif
#if defined(AVX512) || defined(AVX2)
#include "rescale_nearest.h"
#endif

/* What a command ends with. */
enum outcome { FINE, BAD_DIVISOR, BAD_SHIFT, BAD_MULTIPLIER };

/* The same with factors that are computed, one by one. `rounding` is as above, or UP for SINGLE with
   its half. */
enum { UP = 6 };

static enum outcome rescale_by(int rounding, const int64_t *x, const int64_t *multiplier,
                               const int64_t *shift, int64_t *to, word n, const struct factors *f) {
    for (word i = 0; i < n; i++) {
        if (shift[i] < 0 || shift[i] > 62) return BAD_SHIFT;
        if (multiplier[i] != (int32_t)multiplier[i]) return BAD_MULTIPLIER;
    }
    const int twice = rounding == DOUBLE;
    for (word i = 0; i < n; i++) {
        const int64_t right = twice ? greatest(shift[i] - 31, 0) : shift[i];
        const int64_t half = rounding == SINGLE ? 0 : ((int64_t)1 << right) >> 1;
        int64_t v = x[i] - f->input_zp;
        if (twice && shift[i] < 31) v = (int32_t)((uint64_t)v << (31 - shift[i]));
        v *= multiplier[i];
        const int64_t product = v;
        if (twice) v = (v + ((int64_t)1 << 30)) >> 31;
        if (twice || rounding == AWAY) v += (v >> 63) & -(int64_t)(half != 0);
        if (rounding == EVEN) v += (((v >> right) & 1) - 1) & -(int64_t)(half != 0);
        v = (v + half) >> right;
        if (rounding == NEAR_EVEN) v = settled(product, right, half, v);
        to[i] = limited(v, f);
    }
    return FINE;
}
