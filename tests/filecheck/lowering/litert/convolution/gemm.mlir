// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// FULLY_CONNECTED: its kernel scales in float64 and rounds once, ties away from zero.
//
// Ties of the product in float64 go away from zero, and so does the rescale (`away`).

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x!quant.uniform<i8:f32, 1.0:9>> {
    %w = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32, 0.25>>
    %b = graph.constant #graph.blob<i32 [2] (10, -20)> : tensor<2x!quant.uniform<i32:f32, 0.125>>
    %y = graph.gemm %x, %w, %b {trans_b = 1} : tensor<1x2x!quant.uniform<i8:f32, 1.0:9>> loc("y")
    func.return %y : tensor<1x2x!quant.uniform<i8:f32, 1.0:9>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_b = ftensor.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2xi8>
// CHECK-NEXT:    %y_bias = ftensor.constant #graph.blob<i32 [2] (10, -20)> : tensor<2xi32>
// CHECK-NEXT:    %y = ftensor.matmul %x, %y_b, %y_bias {a_zp = 3, transpose_b = 1} : tensor<1x2xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741825)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (33)> : tensor<i8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {output_zp = 9, rounding = "away"} : tensor<1x2xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x2xi8>
