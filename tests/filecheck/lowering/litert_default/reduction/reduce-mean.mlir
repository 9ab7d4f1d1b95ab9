// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// MEAN over height and width, 4-D with kept dimensions, has a kernel of its own.
//
// It (``optimized_integer_ops::Mean``, ``optimized_ops::Mean`` of uint8) sums stored integers and
// subtracts the rounded mean of the zero point. All others are the reference kernel.

builtin.module attributes {graph.source = "tflite", graph.kernels = "optimized"} {
  func.func @main(%x: tensor<1x2x2x3x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x1x1x3x!quant.uniform<i8:f32, 0.25:-5>> {
    %y = graph.reduce_mean %x {axes = array<i64: 1, 2>} : tensor<1x1x1x3x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x1x1x3x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reduce %x {kind = "sum", axes = array<i64: 1, 2>} : tensor<1x1x1x3xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {output_zp = -11, rounding = "double"} : tensor<1x1x1x3xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x1x1x3xi8>
