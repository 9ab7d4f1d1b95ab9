// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// FULLY_CONNECTED: its kernel scales in float64 and rounds once, ties away from zero.
//
// No 31-bit factor rounds every sum as the float64 one does: 45 bits in two halves, added in i48.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x!quant.uniform<i8:f32, 60000.7:9>> {
    %w = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32, 0.25>>
    %b = graph.constant #graph.blob<i32 [2] (2000000000, -1900000000)> : tensor<2x!quant.uniform<i32:f32, 0.125>>
    %y = graph.gemm %x, %w, %b {trans_b = 1} : tensor<1x2x!quant.uniform<i8:f32, 60000.7:9>> loc("y")
    func.return %y : tensor<1x2x!quant.uniform<i8:f32, 60000.7:9>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_b = ftensor.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2xi8>
// CHECK-NEXT:    %y_bias = ftensor.constant #graph.blob<i32 [2] (2000000000, -1900000000)> : tensor<2xi32>
// CHECK-NEXT:    %y = ftensor.matmul %x, %y_b, %y_bias {a_zp = 3, transpose_b = 1} : tensor<1x2xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (17895)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "floor"} : tensor<1x2xi48>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (524543263)> : tensor<i32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (30)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y, %y_multiplier_1, %y_shift_1 {minimum = -140737488355328, maximum = 140737488355327, rounding = "floor"} : tensor<1x2xi48>
// CHECK-NEXT:    %y_3 = ftensor.add %y_1, %y_2 : tensor<1x2xi48>
// CHECK-NEXT:    %y_multiplier_2 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift_2 = ftensor.constant #graph.blob<i8 [] (33)> : tensor<i8>
// CHECK-NEXT:    %y_4 = ftensor.rescale %y_3, %y_multiplier_2, %y_shift_2 {output_zp = 9, rounding = "up"} : tensor<1x2xi8>
// CHECK-NEXT:    func.return %y_4 : tensor<1x2xi8>
