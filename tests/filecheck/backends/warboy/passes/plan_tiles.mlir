// RUN: furiosa-opt %s -p "assign-target{npu=warboy},graph-partition,lower-to-ftensor,fuse-kernels,assign-views,plan-tiles" | filecheck %s

// Everything fits SRAM, so each kernel makes its whole result in one step (`tile`), the tensor between
// the two never leaves SRAM (`store = false`, not spilled), and only the argument is filled from DRAM.
// The height is cut over 8 rows of slices, the channels over 4 columns (`slices`).

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> (tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "y"}) {
    %w = graph.constant #graph.blob<i8 [8, 1, 1, 4] (1)> : tensor<8x1x1x4x!quant.uniform<i8:f32, 0.25>>
    %conv = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<1x8x8x8x!quant.uniform<i8:f32, 0.25:-5>> loc("conv")
    %pool = graph.max_pool %conv {layout = "NHWC", kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>> loc("pool")
    func.return %pool : tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK:         warboy.memory = #warboy.memory<memory_plan(buffers = (buffer(shape = (1, 8, 8, 4), element = 1, slices = (8, 4), order = "HCW",
// CHECK-NEXT:    allocation = allocation(kind = "argument", index = 0, offset = 0, strides = (0, 32, 4, 1), size = 256, runs = ()), images = 1, half = false),
// CHECK-NEXT:    buffer(shape = (1, 8, 8, 8), element = 1, slices = (8, 4), order = "HCW",
// CHECK-NEXT:    allocation = allocation(kind = "own", index = 0, offset = 0, strides = (0, 64, 8, 1), size = 512, runs = ()), images = 1, half = false),
// CHECK-NEXT:    buffer(shape = (1, 4, 4, 8), element = 1, slices = (4, 4), order = "HCW",
// CHECK-NEXT:    allocation = allocation(kind = "result", index = 0, offset = 0, strides = (0, 32, 8, 1), size = 128, runs = ()), images = 1, half = false)),
// CHECK-NEXT:    live_ranges = (live_range(buffer = 0, first = 0, last = 0, filled = true, spilled = false),
// CHECK-NEXT:    live_range(buffer = 1, first = 0, last = 1, filled = false, spilled = false),
// CHECK-NEXT:    live_range(buffer = 2, first = 1, last = 1, filled = false, spilled = false)))>, furiosa.target = "warboy"} {
// CHECK:         plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 0, offset = (0, 0, 0, 0), extent = (1, 8, 8, 4), stage = none),
// CHECK-NEXT:    parameter_binding(size = 32, by_channel = true), parameter_binding(size = 4, by_channel = false), parameter_binding(size = 1, by_channel = false)),
// CHECK-NEXT:    result = operand_binding(buffer = 1, offset = (0, 0, 0, 0), extent = (1, 8, 8, 8), stage = none), tile = (1, 8, 8, 8), whole = (), store = false,
// CHECK-NEXT:    prefetch = 0, in_place = none, pinned = true, beside = false)>} : tensor<1x8x8x8xi8> {
// CHECK:         plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 1, offset = (0, 0, 0, 0), extent = (1, 8, 8, 8), stage = none)),
// CHECK-NEXT:    result = operand_binding(buffer = 2, offset = (0, 0, 0, 0), extent = (1, 4, 4, 8), stage = none), tile = (1, 4, 4, 8), whole = (), store = true,
// CHECK-NEXT:    prefetch = 0, in_place = none, pinned = false, beside = false)>} : tensor<1x4x4x8xi8> {
