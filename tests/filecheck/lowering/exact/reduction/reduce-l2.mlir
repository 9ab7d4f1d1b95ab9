// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The stored result whose threshold the sum of squared differences reaches.
//
// No root is taken: the result is found bit by bit (128, 64, ... 1), each time comparing the sum
// with a threshold that a table has.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x3x5x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> {
    %y = graph.reduce_l2 %x {axes = array<i64: 2>} : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> loc("y")
    func.return %y : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi48>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x3x5xi48>
// CHECK-NEXT:    %y_1 = ftensor.reduce %y {kind = "sum", axes = array<i64: 2>} : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (0)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier, %y_shift {output_zp = -128, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_3 = ftensor.rescale %y_2, %y_multiplier_1, %y_shift {output_zp = 128, rounding = "floor"} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_4 = ftensor.lookup %y_3, %y_table_1 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_5 = ftensor.sub %y_1, %y_4 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_6 = ftensor.rescale %y_5, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i32 [] (128)> : tensor<i32>
// CHECK-NEXT:    %y_7 = ftensor.mul %y_6, %y_b : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_8 = ftensor.add %y_2, %y_7 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_9 = ftensor.rescale %y_8, %y_multiplier_1, %y_shift {output_zp = 64, rounding = "floor"} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table_2 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_10 = ftensor.lookup %y_9, %y_table_2 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_11 = ftensor.sub %y_1, %y_10 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_12 = ftensor.rescale %y_11, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_b_1 = ftensor.constant #graph.blob<i32 [] (64)> : tensor<i32>
// CHECK-NEXT:    %y_13 = ftensor.mul %y_12, %y_b_1 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_14 = ftensor.add %y_8, %y_13 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_15 = ftensor.rescale %y_14, %y_multiplier_1, %y_shift {output_zp = 32, rounding = "floor"} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table_3 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_16 = ftensor.lookup %y_15, %y_table_3 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_17 = ftensor.sub %y_1, %y_16 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_18 = ftensor.rescale %y_17, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_b_2 = ftensor.constant #graph.blob<i32 [] (32)> : tensor<i32>
// CHECK-NEXT:    %y_19 = ftensor.mul %y_18, %y_b_2 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_20 = ftensor.add %y_14, %y_19 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_21 = ftensor.rescale %y_20, %y_multiplier_1, %y_shift {output_zp = 16, rounding = "floor"} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table_4 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_22 = ftensor.lookup %y_21, %y_table_4 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_23 = ftensor.sub %y_1, %y_22 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_24 = ftensor.rescale %y_23, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_b_3 = ftensor.constant #graph.blob<i32 [] (16)> : tensor<i32>
// CHECK-NEXT:    %y_25 = ftensor.mul %y_24, %y_b_3 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_26 = ftensor.add %y_20, %y_25 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_27 = ftensor.rescale %y_26, %y_multiplier_1, %y_shift {output_zp = 8, rounding = "floor"} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table_5 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_28 = ftensor.lookup %y_27, %y_table_5 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_29 = ftensor.sub %y_1, %y_28 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_30 = ftensor.rescale %y_29, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_b_4 = ftensor.constant #graph.blob<i32 [] (8)> : tensor<i32>
// CHECK-NEXT:    %y_31 = ftensor.mul %y_30, %y_b_4 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_32 = ftensor.add %y_26, %y_31 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_33 = ftensor.rescale %y_32, %y_multiplier_1, %y_shift {output_zp = 4, rounding = "floor"} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table_6 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_34 = ftensor.lookup %y_33, %y_table_6 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_35 = ftensor.sub %y_1, %y_34 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_36 = ftensor.rescale %y_35, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_b_5 = ftensor.constant #graph.blob<i32 [] (4)> : tensor<i32>
// CHECK-NEXT:    %y_37 = ftensor.mul %y_36, %y_b_5 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_38 = ftensor.add %y_32, %y_37 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_39 = ftensor.rescale %y_38, %y_multiplier_1, %y_shift {output_zp = 2, rounding = "floor"} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table_7 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_40 = ftensor.lookup %y_39, %y_table_7 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_41 = ftensor.sub %y_1, %y_40 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_42 = ftensor.rescale %y_41, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_b_6 = ftensor.constant #graph.blob<i32 [] (2)> : tensor<i32>
// CHECK-NEXT:    %y_43 = ftensor.mul %y_42, %y_b_6 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_44 = ftensor.add %y_38, %y_43 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_45 = ftensor.rescale %y_44, %y_multiplier_1, %y_shift {output_zp = 1, rounding = "floor"} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table_8 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_46 = ftensor.lookup %y_45, %y_table_8 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_47 = ftensor.sub %y_1, %y_46 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_48 = ftensor.rescale %y_47, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_49 = ftensor.mul %y_48, %y_multiplier_1 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_50 = ftensor.add %y_44, %y_49 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_51 = ftensor.rescale %y_50, %y_multiplier_1, %y_shift {rounding = "floor"} : tensor<1x3x1xi8>
// CHECK-NEXT:    func.return %y_51 : tensor<1x3x1xi8>
// CHECK:       #y_table = #graph.blob<"5434979987f63e796128e17ce57cce9adbd7db579ad82a0c7c8a52e4db44638a">
// CHECK:       #y_table_1 = #graph.blob<"adb2072e867c4f6fc444389300db27e4be29d31c5dfcef8f25f75c1579710a42">
