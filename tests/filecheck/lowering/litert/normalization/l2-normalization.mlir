// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// L2_NORMALIZATION: times the inverse root of the sum of squares, five Newton-Raphson steps.
//
// uint8 multiplies by 128 before it rounds, int8 where it rounds.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x4x!quant.uniform<i8:f32, 0.0078125>> {
    %y = graph.lp_normalization %x {axis = 1, p = 2} : tensor<1x4x!quant.uniform<i8:f32, 0.0078125>> loc("y")
    func.return %y : tensor<1x4x!quant.uniform<i8:f32, 0.0078125>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi32>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x4xi32>
// CHECK-NEXT:    %y_1 = ftensor.reduce %y {kind = "sum", axes = array<i64: 1>} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier, %y_shift {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi8>
// CHECK-NEXT:    %y_3 = ftensor.lookup %y_2, %y_table_1 : tensor<1x1xi8>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (8)> : tensor<i8>
// CHECK-NEXT:    %y_4 = ftensor.rescale %y_1, %y_multiplier, %y_shift_1 {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_2 = ftensor.constant #y_table_2 : tensor<256xi8>
// CHECK-NEXT:    %y_5 = ftensor.lookup %y_4, %y_table_2 : tensor<1x1xi8>
// CHECK-NEXT:    %y_6 = ftensor.maximum %y_3, %y_5 : tensor<1x1xi8>
// CHECK-NEXT:    %y_shift_2 = ftensor.constant #graph.blob<i8 [] (16)> : tensor<i8>
// CHECK-NEXT:    %y_7 = ftensor.rescale %y_1, %y_multiplier, %y_shift_2 {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_3 = ftensor.constant #y_table_3 : tensor<256xi8>
// CHECK-NEXT:    %y_8 = ftensor.lookup %y_7, %y_table_3 : tensor<1x1xi8>
// CHECK-NEXT:    %y_9 = ftensor.maximum %y_6, %y_8 : tensor<1x1xi8>
// CHECK-NEXT:    %y_shift_3 = ftensor.constant #graph.blob<i8 [] (24)> : tensor<i8>
// CHECK-NEXT:    %y_10 = ftensor.rescale %y_1, %y_multiplier, %y_shift_3 {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_4 = ftensor.constant #y_table_4 : tensor<256xi8>
// CHECK-NEXT:    %y_11 = ftensor.lookup %y_10, %y_table_4 : tensor<1x1xi8>
// CHECK-NEXT:    %y_12 = ftensor.maximum %y_9, %y_11 : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_5 = ftensor.constant #y_table_5 : tensor<256xi32>
// CHECK-NEXT:    %y_13 = ftensor.lookup %y_12, %y_table_5 : tensor<1x1xi32>
// CHECK-NEXT:    %y_table_6 = ftensor.constant #y_table_6 : tensor<256xi8>
// CHECK-NEXT:    %y_14 = ftensor.lookup %y_12, %y_table_6 : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_7 = ftensor.constant #y_table_7 : tensor<256xi8>
// CHECK-NEXT:    %y_15 = ftensor.lookup %y_12, %y_table_7 : tensor<1x1xi8>
// CHECK-NEXT:    %y_16 = ftensor.maximum %y_1, %y_multiplier : tensor<1x1xi32>
// CHECK-NEXT:    %y_17 = ftensor.rescale %y_16, %y_13, %y_14 {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_shift_4 = ftensor.constant #graph.blob<i8 [] (1)> : tensor<i8>
// CHECK-NEXT:    %y_18 = ftensor.rescale %y_17, %y_multiplier, %y_shift_4 {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_19 = ftensor.rescale %y_18, %y_multiplier, %y_shift_4 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (0)> : tensor<i32>
// CHECK-NEXT:    %y_20 = ftensor.rescale %y_1, %y_multiplier_1, %y_shift {output_zp = 268435456, minimum = -2147483648, maximum = 2147483647, rounding = "floor"}
// CHECK-NEXT:    : tensor<1x1xi32>
// CHECK-NEXT:    %y_shift_5 = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %y_21 = ftensor.rescale %y_20, %y_20, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_22 = ftensor.rescale %y_21, %y_20, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_2 = ftensor.constant #graph.blob<i32 [] (64)> : tensor<i32>
// CHECK-NEXT:    %y_23 = ftensor.rescale %y_22, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_3 = ftensor.constant #graph.blob<i32 [] (402653184)> : tensor<i32>
// CHECK-NEXT:    %y_24 = ftensor.rescale %y_20, %y_multiplier_3, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_25 = ftensor.rescale %y_19, %y_23, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_26 = ftensor.sub %y_24, %y_25 : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_4 = ftensor.constant #graph.blob<i32 [] (8)> : tensor<i32>
// CHECK-NEXT:    %y_27 = ftensor.rescale %y_26, %y_multiplier_4, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_28 = ftensor.rescale %y_27, %y_27, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_29 = ftensor.rescale %y_28, %y_27, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_30 = ftensor.rescale %y_29, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_31 = ftensor.rescale %y_27, %y_multiplier_3, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_32 = ftensor.rescale %y_19, %y_30, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_33 = ftensor.sub %y_31, %y_32 : tensor<1x1xi32>
// CHECK-NEXT:    %y_34 = ftensor.rescale %y_33, %y_multiplier_4, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_35 = ftensor.rescale %y_34, %y_34, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_36 = ftensor.rescale %y_35, %y_34, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_37 = ftensor.rescale %y_36, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_38 = ftensor.rescale %y_34, %y_multiplier_3, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_39 = ftensor.rescale %y_19, %y_37, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_40 = ftensor.sub %y_38, %y_39 : tensor<1x1xi32>
// CHECK-NEXT:    %y_41 = ftensor.rescale %y_40, %y_multiplier_4, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_42 = ftensor.rescale %y_41, %y_41, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_43 = ftensor.rescale %y_42, %y_41, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_44 = ftensor.rescale %y_43, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_45 = ftensor.rescale %y_41, %y_multiplier_3, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_46 = ftensor.rescale %y_19, %y_44, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_47 = ftensor.sub %y_45, %y_46 : tensor<1x1xi32>
// CHECK-NEXT:    %y_48 = ftensor.rescale %y_47, %y_multiplier_4, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_49 = ftensor.rescale %y_48, %y_48, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_50 = ftensor.rescale %y_49, %y_48, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_51 = ftensor.rescale %y_50, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_52 = ftensor.rescale %y_48, %y_multiplier_3, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_53 = ftensor.rescale %y_19, %y_51, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_54 = ftensor.sub %y_52, %y_53 : tensor<1x1xi32>
// CHECK-NEXT:    %y_55 = ftensor.rescale %y_54, %y_multiplier_4, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_5 = ftensor.constant #graph.blob<i32 [] (1518500250)> : tensor<i32>
// CHECK-NEXT:    %y_56 = ftensor.rescale %y_55, %y_multiplier_5, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_57 = ftensor.add %y_15, %y_shift_3 : tensor<1x1xi8>
// CHECK-NEXT:    %y_58 = ftensor.rescale %x, %y_multiplier, %y_shift {input_zp = 3, minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_59 = ftensor.rescale %y_58, %y_56, %y_57 {rounding = "double"} : tensor<1x4xi8>
// CHECK-NEXT:    func.return %y_59 : tensor<1x4xi8>
// CHECK:       #y_table = #graph.blob<"8ca504ec57260b49e1360c4e7d9cca33b0f91942b769df08d0c7db04e6c1773d">
// CHECK:       #y_table_1 = #graph.blob<"8bf30c3c6deea56c4285b157ac27f2af79391fd0f4490c5ffc4e33f158d60c11">
// CHECK:       #y_table_2 = #graph.blob<"2e911689a06cd365e8b76589c49d5fbb5dba857fcaa1e9feae186c29f78eac10">
// CHECK:       #y_table_3 = #graph.blob<"ae3f4a8effa805f0d1ae6ca77409a7548809a6c4ae6ce538145db3c155fdaca2">
// CHECK:       #y_table_4 = #graph.blob<"f8729e4143ce473d7eee0707e40ae0dccfbeb0be877f0901026753e6949f0195">
// CHECK:       #y_table_5 = #graph.blob<"e9340701dc2e441ce19b196045b32d7b2cde15148a3e2babe941e9c13e15fef6">
// CHECK:       #y_table_6 = #graph.blob<"cb9f2ef427ac25d5dafe91e47f134849291b50fdf63fc764c81f75907bc2f54e">
// CHECK:       #y_table_7 = #graph.blob<"5d0111b10d2372568df0cd0c65170c5a7f27e7cd1a685b2dbba051bcdeb8d9e9">
