// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// AVERAGE_POOL_2D: the sum of the stored integers over their number, ties away from zero.
//
// Ties are told from the stored integers, not from the real numbers: uint8 sums are unsigned.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.average_pool %x {layout = "NHWC", kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reduce_window %x {kind = "sum", layout = "NHWC", window = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x2x2x2xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (32)> : tensor<i8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {rounding = "away"} : tensor<1x2x2x2xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x2x2x2xi8>
