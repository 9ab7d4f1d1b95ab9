// RUN: furiosa-opt %s -p "assign-target{npu=warboy},graph-partition,lower-to-ftensor,fuse-kernels,assign-views,plan-tiles,allocate,schedule" | filecheck %s

// Commands for two engines, each of which works in order: "dma" (load, store) and "npu" (the rest). A
// command waits for the other engine only where bytes of SRAM pass between them: the convolution for
// its load, the store for the pool. The pool behind the convolution waits for nothing. What stands in
// front of `warboy.begin_run` is done once a session, and has ended when a run begins.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> (tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "y"}) {
    %w = graph.constant #graph.blob<i8 [8, 1, 1, 4] (1)> : tensor<8x1x1x4x!quant.uniform<i8:f32, 0.25>>
    %conv = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<1x8x8x8x!quant.uniform<i8:f32, 0.25:-5>> loc("conv")
    %pool = graph.max_pool %conv {layout = "NHWC", kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>> loc("pool")
    func.return %pool : tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK:         %0 = warboy.load {source = dram_flat(address = 0, size = 32), target = sram_flat(address = 0, size = 32), layer = 0}
// CHECK-NEXT:    %1 = warboy.load {source = dram_flat(address = 64, size = 4), target = sram_flat(address = 32, size = 4), layer = 0}
// CHECK-NEXT:    %2 = warboy.load {source = dram_flat(address = 128, size = 1), target = sram_flat(address = 64, size = 1), layer = 0}
// CHECK-NEXT:    warboy.begin_run
// CHECK-NEXT:    %3 = warboy.load {source = dram_tile(region = "workspace", address = 0, extent = (1, 8, 8, 4), strides = (0, 32, 4, 1)),
// CHECK-NEXT:    target = sram_tile(address = 160, shape = (1, 8, 8, 4), slices = (8, 4), order = "HCW"), layer = 0}
// CHECK-NEXT:    %4 = warboy.execute_dot after %3 {x = sram_tile(address = 160, shape = (1, 8, 8, 4), slices = (8, 4), order = "HCW"),
// CHECK-NEXT:    weight = sram_flat(address = 0, size = 32), weight_shape = (8, 1, 1, 4), x_zp = 3,
// CHECK-NEXT:    parameters = (parameter(memory = sram_flat(address = 32, size = 4), element = 4), parameter(memory = sram_flat(address = 64, size = 1))),
// CHECK-NEXT:    program = (instruction(opcode = "rescale", operands = (0, 1, 2), immediates = (0, -5, -128, 127), mode = "double")),
// CHECK-NEXT:    result = sram_tile(address = 96, shape = (1, 8, 8, 8), slices = (8, 4), order = "HCW"), layer = 0}
// CHECK-NEXT:    %5 = warboy.execute_pool {x = sram_tile(address = 96, shape = (1, 8, 8, 8), slices = (8, 4), order = "HCW"), kind = "max", window = (2, 2),
// CHECK-NEXT:    strides = (2, 2), result = sram_tile(address = 160, shape = (1, 4, 4, 8), slices = (4, 4), order = "HCW"), layer = 1}
// CHECK-NEXT:    %6 = warboy.store after %5 {source = sram_tile(address = 160, shape = (1, 4, 4, 8), slices = (4, 4), order = "HCW"),
// CHECK-NEXT:    target = dram_tile(region = "workspace", address = 0, extent = (1, 4, 4, 8), strides = (0, 32, 8, 1)), layer = 1}
// CHECK-NEXT:    warboy.end
