"""The simulator's kernels in C: a segment's commands as words that one call runs, without the GIL.

`source/` holds the kernels, which are compiled when the package is installed where there is a C
compiler (`compile_kernels.py` at the root), and which `library` loads. `encoding` turns commands
into words, with `tiles` (memory), `dot` (convolutions: `dense`, `windows`), `windows` (pools),
`epilogue_words`, `vector_words` and `rescale_words` (vector programs). What has no words runs in
numpy, as everything does where the library is absent: the bits are the same.
"""
