// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// SOFTMAX: the output is q = -128 + 256 * softmax; the kernel ignores its quantisation.
//
// exp is a table in Q0.31; the reciprocal of the sum takes three Newton-Raphson steps, each rounded
// as gemmlowp rounds.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.125:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.00390625:-128>> {
    %y = graph.softmax %x {axis = 1} : tensor<1x8x!quant.uniform<i8:f32, 0.00390625:-128>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.00390625:-128>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reduce %x {kind = "max", axes = array<i64: 1>} : tensor<1x1xi8>
// CHECK-NEXT:    %y_1 = ftensor.sub %x, %y : tensor<1x8xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier, %y_shift {output_zp = 127, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table = ftensor.constant #y_table : tensor<256xi32>
// CHECK-NEXT:    %y_3 = ftensor.lookup %y_2, %y_table : tensor<1x8xi32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (12)> : tensor<i8>
// CHECK-NEXT:    %y_4 = ftensor.rescale %y_3, %y_multiplier, %y_shift_1 {minimum = -2147483648, maximum = 2147483647, rounding = "away"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_5 = ftensor.reduce %y_4 {kind = "sum", axes = array<i64: 1>} : tensor<1x1xi32>
// CHECK-NEXT:    %y_shift_2 = ftensor.constant #graph.blob<i8 [] (19)> : tensor<i8>
// CHECK-NEXT:    %y_6 = ftensor.rescale %y_5, %y_multiplier, %y_shift_2 {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_7 = ftensor.lookup %y_6, %y_table_1 : tensor<1x1xi32>
// CHECK-NEXT:    %y_table_2 = ftensor.constant #y_table_2 : tensor<256xi8>
// CHECK-NEXT:    %y_8 = ftensor.lookup %y_6, %y_table_2 : tensor<1x1xi8>
// CHECK-NEXT:    %y_9 = ftensor.rescale %y_5, %y_7, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (-1010580540)> : tensor<i32>
// CHECK-NEXT:    %y_shift_3 = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %y_10 = ftensor.rescale %y_9, %y_multiplier_1, %y_shift_3 {output_zp = 1515870810, minimum = -2147483648, maximum = 2147483647, rounding = "up"}
// CHECK-NEXT:    : tensor<1x1xi32>
// CHECK-NEXT:    %y_11 = ftensor.rescale %y_9, %y_10, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_a = ftensor.constant #graph.blob<i32 [] (536870912)> : tensor<i32>
// CHECK-NEXT:    %y_12 = ftensor.sub %y_a, %y_11 : tensor<1x1xi32>
// CHECK-NEXT:    %y_13 = ftensor.rescale %y_10, %y_12, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_2 = ftensor.constant #graph.blob<i32 [] (4)> : tensor<i32>
// CHECK-NEXT:    %y_14 = ftensor.rescale %y_13, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_15 = ftensor.add %y_10, %y_14 : tensor<1x1xi32>
// CHECK-NEXT:    %y_16 = ftensor.rescale %y_9, %y_15, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_17 = ftensor.sub %y_a, %y_16 : tensor<1x1xi32>
// CHECK-NEXT:    %y_18 = ftensor.rescale %y_15, %y_17, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_19 = ftensor.rescale %y_18, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_20 = ftensor.add %y_15, %y_19 : tensor<1x1xi32>
// CHECK-NEXT:    %y_21 = ftensor.rescale %y_9, %y_20, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_22 = ftensor.sub %y_a, %y_21 : tensor<1x1xi32>
// CHECK-NEXT:    %y_23 = ftensor.rescale %y_20, %y_22, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_24 = ftensor.rescale %y_23, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_25 = ftensor.add %y_20, %y_24 : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_3 = ftensor.constant #graph.blob<i32 [] (2)> : tensor<i32>
// CHECK-NEXT:    %y_26 = ftensor.rescale %y_25, %y_multiplier_3, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_27 = ftensor.rescale %y_3, %y_26, %y_8 {output_zp = -128, rounding = "double"} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_27 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"3ea033b2826bbedad6be4cfeaa8f06a8e3443d9435cb6e9874a05a0835621b05">
// CHECK:       #y_table_1 = #graph.blob<"62954882b6e4219902cb0509a6c251af96688a40a82fb0800f757ac915e4476f">
// CHECK:       #y_table_2 = #graph.blob<"e30d7e51ea0f86fd91a1bb1a73c8d3aabc4a8b50100e91c0fcda01cde289954f">
