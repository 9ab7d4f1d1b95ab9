/* What the kernels have in common: words of a plan, memory, vectors.

   A plan is an array of 64-bit words that `encoding.py` and its neighbours write: for each command
   an opcode and what belongs to it, in the order in which the functions here read it. Addresses
   have been checked by the time a plan is made; nothing here checks them again.

   Integers wrap, as the machine's registers do (-fwrapv). */
#ifndef FURIOSA_KERNELS_H
#define FURIOSA_KERNELS_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define AVX512
#include <immintrin.h>
#elif defined(__AVX2__)
#define AVX2
#include <immintrin.h>
#endif

typedef int64_t word;

/* What one run works in. */
struct memory {
    uint8_t *sram;
    uint8_t *workspace;
    const uint8_t *constants;
    uint8_t *scratch;
};

static inline word next(const word **plan) { return *(*plan)++; }

static inline uint8_t *region(const struct memory *memory, word number) {
    return number ? memory->workspace : (uint8_t *)memory->constants;
}

static inline word least(word a, word b) { return a < b ? a : b; }
static inline word greatest(word a, word b) { return a > b ? a : b; }

#endif
