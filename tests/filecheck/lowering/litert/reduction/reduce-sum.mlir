// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// SUM. The kernel takes int8's bytes for uint8 ones, but leaves the zero points as they are.
//
// So an int8 element below 0 counts 256 more, and the result is clamped to 0 ... 255, of which the
// byte is kept.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x3x5x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> {
    %y = graph.reduce_sum %x {axes = array<i64: 2>} : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> loc("y")
    func.return %y : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi32>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x3x5xi32>
// CHECK-NEXT:    %y_1 = ftensor.reduce %y {kind = "sum", axes = array<i64: 2>} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (32)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier, %y_shift {output_zp = -135, rounding = "double"} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi8>
// CHECK-NEXT:    %y_3 = ftensor.lookup %y_2, %y_table_1 : tensor<1x3x1xi8>
// CHECK-NEXT:    func.return %y_3 : tensor<1x3x1xi8>
// CHECK:       #y_table = #graph.blob<"1998c43a5eb1d0edde76a2eb7f2446d502f50846c6ca0135f6ce403e0f525c55">
// CHECK:       #y_table_1 = #graph.blob<"1233d21ed695fdbd3ea1b56c2013cfcedad5236ecbd5a2471fcbc6cec8f646d1">
