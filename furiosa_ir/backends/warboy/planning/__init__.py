"""The planner: what `assign-views`, `plan-tiles` and `allocate` decide, one question a module.

None of them changes an operation; passes do, in `passes/`.

| module | question |
|---|---|
| `images` | whether a segment works image by image; its operations for fewer images |
| `batch_rewrite` | the images of a segment in several passes |
| `bands` | which columns of which tensors a band of a group of kernels reads, makes and keeps |
| `band_choice` | which groups work band by band, and in how many bands |
| `band_rewrite` | a group once more for each of its bands |
| `remade` | an operation once more, for operands of other extents |
| `views` | the algebra: which axes of a tensor are N, H, W and C |
| `kernel_views` | which views a kernel needs of its operands, and gives its result |
| `view_inference` | which view every tensor of a function should have |
| `assigned_views` | which one it has: the IR's attributes, written, read and checked |
| `geometry` | a kernel's loops; which windows of its operands a tile of its result reads |
| `buffers` | what a buffer holds, and which tensors are it or a window of it |
| `dram_runs` | what a buffer is in DRAM where no one stride says where its channels lie |
| `pairs` | which kernels run at the same time, one on each PE |
| `pair_choice` | which should, and the order that has them next to each other |
| `copy_plans` | how a copy in DRAM is carried out: an alias, a kernel that stores there, moves |
| `storage` | the buffers, places and DRAM allocations of a whole function |
| `layout_agreement` | the fastest layouts of all buffers together, of some for each |
| `decisions` | what of a plan is free, as data: of a search, of a trial, or tried by hand |
| `layouts`, `layout_choice` | over how many slices a buffer goes, in which order; the fastest |
| `part_copies` | which parts of a buffer are better computed elsewhere and copied there |
| `workload` | what the planner of a segment works on |
| `tiles` | how a kernel's loops are split into steps, and what a split takes of SRAM |
| `in_place` | which operand's place a result may take |
| `estimate` | how many cycles a split takes |
| `overlap` | what loads of inputs and stores of outputs nothing else hides; steps that do |
| `limits` | what a plan has to keep to, and when it certainly will not |
| `sweep` | what lies in SRAM at a kernel, and what has been decided of those before |
| `tilings` | which ways there are to carry out one kernel, and the fastest |
| `live_ranges` | when a buffer lies in SRAM, what is spilled; the tiling of each kernel |
| `transfer_ranges` | how long buffers stay for their loads and stores |
| `run_estimate` | how many cycles a planned run takes |
| `pinning` | which parameters stay in SRAM from run to run |
| `areas` | what all that takes of SRAM, and when |
| `intervals` | how much is needed at once, at least; what meets what |
| `placement` | addresses from liveness, with as small a peak as bounded work finds |
| `best_fit`, `exact_placement`, `hill_climb` | the addresses of any, of few, of many intervals |
| `remarks` | what of all that is to be said to who asked for remarks |
"""
