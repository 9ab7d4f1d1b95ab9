// RUN: furiosa-opt %s -p "assign-target{npu=warboy},graph-partition,lower-to-ftensor,fuse-kernels,assign-views,plan-tiles,allocate,schedule" | filecheck %s

// What no kernel can write where it is wanted is copied within DRAM: the argument, which is the same twice,
// to the two halves of the result. Axes of one element (the batch) are left out, and no copy waits, as the
// argument is there and DMA works in order.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x3x4x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> (tensor<1x6x4x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "y"}) {
    %y = graph.concat %x, %x {axis = 1} : tensor<1x6x4x2x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x6x4x2x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         allocations = (0, 64), sram_bytes = 0, workspace_bytes = 128, inputs = (0),
// CHECK-NEXT:    outputs = (64), sram_bound = 0, workspace_bound = 128)>
// CHECK:         %0 = warboy.copy_dram {source = dram_view(region = "workspace", address = 0, extent = (3, 4, 2), strides = (8, 2, 1)),
// CHECK-NEXT:    target = dram_view(region = "workspace", address = 64, extent = (3, 4, 2), strides = (8, 2, 1)), layer = 0}
// CHECK-NEXT:    %1 = warboy.copy_dram {source = dram_view(region = "workspace", address = 0, extent = (3, 4, 2), strides = (8, 2, 1)),
// CHECK-NEXT:    target = dram_view(region = "workspace", address = 88, extent = (3, 4, 2), strides = (8, 2, 1)), layer = 0}
// CHECK-NEXT:    warboy.end
