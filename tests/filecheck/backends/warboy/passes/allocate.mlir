// RUN: furiosa-opt %s -p "assign-target{npu=warboy},graph-partition,lower-to-ftensor,fuse-kernels,assign-views,plan-tiles,allocate" | filecheck %s

// Buffers that are never live together share addresses (96 and 160, in bytes of every slice): the pool's
// result takes the argument's place, whose last reader has gone. Pinned parameters lie in front, from 0
// on, where no run writes (0, 32, 64): each a multiple of 32. Both bounds are what the kernel needs that needs most: no addresses
// take less.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> (tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "y"}) {
    %w = graph.constant #graph.blob<i8 [8, 1, 1, 4] (1)> : tensor<8x1x1x4x!quant.uniform<i8:f32, 0.25>>
    %conv = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<1x8x8x8x!quant.uniform<i8:f32, 0.25:-5>> loc("conv")
    %pool = graph.max_pool %conv {layout = "NHWC", kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>> loc("pool")
    func.return %pool : tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK:         warboy.addresses = #warboy.addresses<memory_addresses(live_ranges = (160, 96, 160), allocations = (0, -1, 0), sram_bytes = 224, workspace_bytes = 256,
// CHECK-NEXT:    inputs = (0), outputs = (0), sram_bound = 224, workspace_bound = 256)>} {
// CHECK:         prefetch = 0, in_place = none, pinned = true, beside = false)>,
// CHECK-NEXT:        addresses = #warboy.addresses<kernel_addresses(parameters = ((), (0), (32), (64)), stages = ((), (), (), (), ()))>}
// CHECK:         prefetch = 0, in_place = none, pinned = false, beside = false)>, addresses = #warboy.addresses<kernel_addresses(parameters = (()), stages = ((), ()))>}
