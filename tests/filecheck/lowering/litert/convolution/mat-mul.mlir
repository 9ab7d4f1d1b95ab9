// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// BATCH_MATMUL (int8 only in LiteRT): as a per-tensor convolution.
//
// Both operands have zero points, which the contraction subtracts.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%a: tensor<1x2x3x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "a"}, %b: tensor<1x3x2x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "b"})
      -> tensor<1x2x2x!quant.uniform<i8:f32, 1.0:9>> {
    %y = graph.mat_mul %a, %b : tensor<1x2x2x!quant.uniform<i8:f32, 1.0:9>> loc("y")
    func.return %y : tensor<1x2x2x!quant.uniform<i8:f32, 1.0:9>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.matmul %a, %b {a_zp = 3, b_zp = -5} : tensor<1x2x2xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (33)> : tensor<i8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {output_zp = 9, rounding = "double"} : tensor<1x2x2xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x2x2xi8>
