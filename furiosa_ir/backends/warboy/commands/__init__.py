"""From planned kernels to a segment's commands: which, in what order they wait, as IR, as records.

`kernel_steps` and `dram_copies` make a kernel's commands, `vector_program` the instructions in
them, `tokens` what each waits for. `command_operations` turns them into operations and back,
`segment` a function of these into the ENF's segment, with its `constant_section`.
"""
