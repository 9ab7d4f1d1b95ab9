// RUN: furiosa-opt %s -p "assign-target{npu=warboy},graph-partition,lower-to-ftensor,fuse-kernels,assign-views,plan-tiles,allocate" | filecheck %s

// The result does not fit SRAM beside the argument: it is made 112 rows at a time (`tile`), each tile
// in one of two places (`stage`, two slots and two addresses) so that one is stored while the next is
// computed; so are the rows that it reads.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x448x448x64x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> (tensor<1x448x448x64x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "y"}) {
    %w = graph.constant #graph.blob<i8 [64, 3, 3, 64] (1)> : tensor<64x3x3x64x!quant.uniform<i8:f32, 0.25>>
    %y = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI", pads = array<i64: 1, 1, 1, 1>} : tensor<1x448x448x64x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x448x448x64x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK:         stage = stage(shape = (1, 114, 448, 64), slices = (32, 2), order = "HWC", slots = 2)), parameter_binding(
// CHECK:         stage = stage(shape = (1, 112, 448, 64), slices = (4, 16), order = "HCW", slots = 2)), tile = (1, 112, 448, 64), whole = (), store = true, prefetch = 0,
// CHECK-NEXT:    in_place = none, pinned = true, beside = false)>,
// CHECK-NEXT:        addresses = #warboy.addresses<kernel_addresses(parameters = ((), (0), (576), (608)), stages = ((640, 57984), (), (), (), (115328, 165504)))>}
