/* Runs commands of a plan. Compiled once for each set of instructions (VARIANT). */
#include "dense.h"

enum opcode { MOVE_TILE, LOAD_FLAT, COPY, VECTOR, DENSE, DEPTHWISE, POOL };

/* Runs commands [first, last). `starts` says where each begins in `plan`. Answers -1, or 4 * the
   number of the command that failed + its outcome. */
int64_t VARIANT(const word *plan, const word *starts, word first, word last, uint8_t *sram,
                uint8_t *workspace, const uint8_t *constants, uint8_t *scratch) {
    const struct memory memory = {sram, workspace, constants, scratch};
    for (word number = first; number < last; number++) {
        const word *command = plan + starts[number];
        enum outcome outcome = FINE;
        switch (next(&command)) {
        case MOVE_TILE: move_tile(command, &memory); break;
        case LOAD_FLAT: load_flat(command, &memory); break;
        case COPY: copy_dram(command, &memory); break;
        case VECTOR: outcome = run_vector(command, &memory); break;
        case DENSE: outcome = run_dense(command, &memory); break;
        case DEPTHWISE: outcome = run_depthwise(command, &memory); break;
        default: outcome = run_pool(command, &memory);
        }
        if (outcome) return 4 * number + outcome;
    }
    return -1;
}
