// RUN: furiosa-opt %s -p "assign-target{npu=warboy},graph-partition,lower-to-ftensor,fuse-kernels" | filecheck %s

// One operation for what the NPU does in one go: a contraction with the rescale behind it, and a window
// reduction. The region says what a kernel computes; its arguments are bound where the operands stand.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> (tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "y"}) {
    %w = graph.constant #graph.blob<i8 [8, 1, 1, 4] (1)> : tensor<8x1x1x4x!quant.uniform<i8:f32, 0.25>>
    %conv = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<1x8x8x8x!quant.uniform<i8:f32, 0.25:-5>> loc("conv")
    %pool = graph.max_pool %conv {layout = "NHWC", kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>> loc("pool")
    func.return %pool : tensor<1x4x4x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK:         %conv_weight = ftensor.constant #graph.blob<i8 [8, 1, 1, 4] (1)> : tensor<8x1x1x4xi8>
// CHECK-NEXT:    %conv_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %conv_shift = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %conv = warboy.dot %x_1 = %x, %weight = %conv_weight, %multiplier = %conv_multiplier, %shift = %conv_shift : tensor<1x8x8x8xi8> {
// CHECK-NEXT:    %conv_1 = ftensor.conv %x_1, %weight {layout = "NHWC", x_zp = 3} : tensor<1x8x8x8xi32>
// CHECK-NEXT:    %rescale = ftensor.rescale %conv_1, %multiplier, %shift {output_zp = -5, rounding = "double"} : tensor<1x8x8x8xi8>
// CHECK-NEXT:    warboy.yield %rescale
// CHECK:         %pool = warboy.pool %x_1 = %conv : tensor<1x4x4x8xi8> {
// CHECK-NEXT:    %reduce_window = ftensor.reduce_window %x_1 {kind = "max", layout = "NHWC", window = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x4x4x8xi8>
// CHECK-NEXT:    warboy.yield %reduce_window
// CHECK:         func.return %pool : tensor<1x4x4x8xi8>
