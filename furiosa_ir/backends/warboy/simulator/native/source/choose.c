/* Chooses the variant of the plan's interpreter by what the processor has. */
#define _GNU_SOURCE
#include <stdint.h>
#if defined(X86) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define PARAMETERS                                                                                \
    const int64_t *plan, const int64_t *starts, int64_t first, int64_t last, uint8_t *sram,       \
        uint8_t *workspace, const uint8_t *constants, uint8_t *scratch
#define ARGUMENTS plan, starts, first, last, sram, workspace, constants, scratch

int64_t run_plan_generic(PARAMETERS);
#ifdef X86
int64_t run_plan_v3(PARAMETERS);
int64_t run_plan_vnni(PARAMETERS);
int64_t run_plan_amx(PARAMETERS);

/* Whether the processor has AMX's tiles of bytes, and the system lets this process use them. */
static int has_tiles(void) {
#ifdef __linux__
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & 1u << 24) || !(d & 1u << 25)) return 0;
    const long request_permission = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM, XTILEDATA */
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return 0;
#endif
}
#endif

/* The digest of the source that this was compiled of: what writes words must be of the same. */
const char *source_digest(void) { return DIGEST; }

/* 0: any processor, 1: AVX2, 2: AVX-512 with VNNI, 3: and AMX. */
int32_t variant(void) {
#ifdef X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return has_tiles() ? 3 : 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        return 1;
#endif
    return 0;
}

/* `run_plan_*` of plan.c, of the variant asked for, which the processor has. */
int64_t run_plan(int32_t which, PARAMETERS) {
#ifdef X86
    if (which == 3) return run_plan_amx(ARGUMENTS);
    if (which == 2) return run_plan_vnni(ARGUMENTS);
    if (which == 1) return run_plan_v3(ARGUMENTS);
#endif
    (void)which;
    return run_plan_generic(ARGUMENTS);
}
