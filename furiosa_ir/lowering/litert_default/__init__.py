"""Lowerings to LiteRT's default kernels (x86, no delegates) where they are not the reference ones.

Default kernels are those of `OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES`: optimised, many of
them with NEON intrinsics (on x86 through `NEON_2_SSE.h`) and a scalar loop for what is left over.
What no module here declares is lowered as for the reference kernels.
"""
