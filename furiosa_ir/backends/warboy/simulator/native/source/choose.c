/* Chooses the variant of the plan's interpreter by what the processor has. */
#include <stdint.h>

#define PARAMETERS                                                                                \
    const int64_t *plan, const int64_t *starts, int64_t first, int64_t last, uint8_t *sram,       \
        uint8_t *workspace, const uint8_t *constants, uint8_t *scratch
#define ARGUMENTS plan, starts, first, last, sram, workspace, constants, scratch

int64_t run_plan_generic(PARAMETERS);
#ifdef X86
int64_t run_plan_v3(PARAMETERS);
int64_t run_plan_vnni(PARAMETERS);
#endif

/* 0: any processor, 1: AVX2, 2: AVX-512 with VNNI. */
int32_t variant(void) {
#ifdef X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        return 1;
#endif
    return 0;
}

/* `run_plan_*` of plan.c, of the variant asked for, which the processor has. */
int64_t run_plan(int32_t which, PARAMETERS) {
#ifdef X86
    if (which == 2) return run_plan_vnni(ARGUMENTS);
    if (which == 1) return run_plan_v3(ARGUMENTS);
#endif
    (void)which;
    return run_plan_generic(ARGUMENTS);
}
