// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// LOG_SOFTMAX: the difference less the logarithm of the sum, both in Q5.26.
//
// LiteRT accepts one quantisation of the result only: steps of 1/16, the zero point 127.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.125:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.0625:127>> {
    %y = graph.log_softmax %x {axis = 1} : tensor<1x8x!quant.uniform<i8:f32, 0.0625:127>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.0625:127>>
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
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_6 = ftensor.lookup %y_2, %y_table_1 : tensor<1x8xi32>
// CHECK-NEXT:    %y_7 = ftensor.rescale %y_5, %y_multiplier, %y_shift {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_2 = ftensor.constant #y_table_2 : tensor<256xi8>
// CHECK-NEXT:    %y_8 = ftensor.lookup %y_7, %y_table_2 : tensor<1x1xi8>
// CHECK-NEXT:    %y_shift_2 = ftensor.constant #graph.blob<i8 [] (8)> : tensor<i8>
// CHECK-NEXT:    %y_9 = ftensor.rescale %y_5, %y_multiplier, %y_shift_2 {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_3 = ftensor.constant #y_table_3 : tensor<256xi8>
// CHECK-NEXT:    %y_10 = ftensor.lookup %y_9, %y_table_3 : tensor<1x1xi8>
// CHECK-NEXT:    %y_11 = ftensor.maximum %y_8, %y_10 : tensor<1x1xi8>
// CHECK-NEXT:    %y_shift_3 = ftensor.constant #graph.blob<i8 [] (16)> : tensor<i8>
// CHECK-NEXT:    %y_12 = ftensor.rescale %y_5, %y_multiplier, %y_shift_3 {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_4 = ftensor.constant #y_table_4 : tensor<256xi8>
// CHECK-NEXT:    %y_13 = ftensor.lookup %y_12, %y_table_4 : tensor<1x1xi8>
// CHECK-NEXT:    %y_14 = ftensor.maximum %y_11, %y_13 : tensor<1x1xi8>
// CHECK-NEXT:    %y_shift_4 = ftensor.constant #graph.blob<i8 [] (24)> : tensor<i8>
// CHECK-NEXT:    %y_15 = ftensor.rescale %y_5, %y_multiplier, %y_shift_4 {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_5 = ftensor.constant #y_table_5 : tensor<256xi8>
// CHECK-NEXT:    %y_16 = ftensor.lookup %y_15, %y_table_5 : tensor<1x1xi8>
// CHECK-NEXT:    %y_17 = ftensor.maximum %y_14, %y_16 : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_6 = ftensor.constant #y_table_6 : tensor<256xi32>
// CHECK-NEXT:    %y_18 = ftensor.lookup %y_17, %y_table_6 : tensor<1x1xi32>
// CHECK-NEXT:    %y_table_7 = ftensor.constant #y_table_7 : tensor<256xi32>
// CHECK-NEXT:    %y_19 = ftensor.lookup %y_17, %y_table_7 : tensor<1x1xi32>
// CHECK-NEXT:    %y_20 = ftensor.rescale %y_5, %y_18, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1518500250)> : tensor<i32>
// CHECK-NEXT:    %y_shift_5 = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %y_21 = ftensor.rescale %y_20, %y_multiplier_1, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_2 = ftensor.constant #graph.blob<i32 [] (2)> : tensor<i32>
// CHECK-NEXT:    %y_22 = ftensor.rescale %y_21, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_23 = ftensor.rescale %y_5, %y_multiplier_1, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_24 = ftensor.rescale %y_23, %y_multiplier, %y_shift {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_8 = ftensor.constant #y_table_2 : tensor<256xi8>
// CHECK-NEXT:    %y_25 = ftensor.lookup %y_24, %y_table_8 : tensor<1x1xi8>
// CHECK-NEXT:    %y_26 = ftensor.rescale %y_23, %y_multiplier, %y_shift_2 {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_9 = ftensor.constant #y_table_3 : tensor<256xi8>
// CHECK-NEXT:    %y_27 = ftensor.lookup %y_26, %y_table_9 : tensor<1x1xi8>
// CHECK-NEXT:    %y_28 = ftensor.maximum %y_25, %y_27 : tensor<1x1xi8>
// CHECK-NEXT:    %y_29 = ftensor.rescale %y_23, %y_multiplier, %y_shift_3 {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_10 = ftensor.constant #y_table_4 : tensor<256xi8>
// CHECK-NEXT:    %y_30 = ftensor.lookup %y_29, %y_table_10 : tensor<1x1xi8>
// CHECK-NEXT:    %y_31 = ftensor.maximum %y_28, %y_30 : tensor<1x1xi8>
// CHECK-NEXT:    %y_32 = ftensor.rescale %y_23, %y_multiplier, %y_shift_4 {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_11 = ftensor.constant #y_table_5 : tensor<256xi8>
// CHECK-NEXT:    %y_33 = ftensor.lookup %y_32, %y_table_11 : tensor<1x1xi8>
// CHECK-NEXT:    %y_34 = ftensor.maximum %y_31, %y_33 : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_12 = ftensor.constant #y_table_6 : tensor<256xi32>
// CHECK-NEXT:    %y_35 = ftensor.lookup %y_34, %y_table_12 : tensor<1x1xi32>
// CHECK-NEXT:    %y_table_13 = ftensor.constant #y_table_13 : tensor<256xi32>
// CHECK-NEXT:    %y_36 = ftensor.lookup %y_34, %y_table_13 : tensor<1x1xi32>
// CHECK-NEXT:    %y_37 = ftensor.rescale %y_5, %y_35, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_38 = ftensor.minimum %y_22, %y_37 : tensor<1x1xi32>
// CHECK-NEXT:    %y_39 = ftensor.maximum %y_19, %y_36 : tensor<1x1xi32>
// CHECK-NEXT:    %y_shift_6 = ftensor.constant #graph.blob<i8 [] (1)> : tensor<i8>
// CHECK-NEXT:    %y_40 = ftensor.rescale %y_38, %y_multiplier, %y_shift_6 {input_zp = -1805811301, minimum = -2147483648, maximum = 2147483647, rounding = "up"}
// CHECK-NEXT:    : tensor<1x1xi32>
// CHECK-NEXT:    %y_41 = ftensor.rescale %y_38, %y_multiplier_2, %y_shift {input_zp = 1805811301, minimum = -2147483648, maximum = 2147483647, rounding = "floor"}
// CHECK-NEXT:    : tensor<1x1xi32>
// CHECK-NEXT:    %y_42 = ftensor.rescale %y_41, %y_41, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_43 = ftensor.rescale %y_41, %y_38, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_44 = ftensor.rescale %y_41, %y_42, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_3 = ftensor.constant #graph.blob<i32 [] (117049297)> : tensor<i32>
// CHECK-NEXT:    %y_45 = ftensor.rescale %y_44, %y_multiplier_3, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_46 = ftensor.add %y_43, %y_45 : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_4 = ftensor.constant #graph.blob<i32 [] (127690142)> : tensor<i32>
// CHECK-NEXT:    %y_47 = ftensor.rescale %y_42, %y_multiplier_4, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_48 = ftensor.add %y_41, %y_47 : tensor<1x1xi32>
// CHECK-NEXT:    %y_49 = ftensor.rescale %y_48, %y_multiplier, %y_shift {output_zp = 1057819769, minimum = -2147483648, maximum = 2147483647, rounding = "floor"}
// CHECK-NEXT:    : tensor<1x1xi32>
// CHECK-NEXT:    %y_50 = ftensor.rescale %y_40, %y_49, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_5 = ftensor.constant #graph.blob<i32 [] (638450708)> : tensor<i32>
// CHECK-NEXT:    %y_51 = ftensor.rescale %y_41, %y_multiplier_5, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_52 = ftensor.add %y_50, %y_51 : tensor<1x1xi32>
// CHECK-NEXT:    %y_shift_7 = ftensor.constant #graph.blob<i8 [] (6)> : tensor<i8>
// CHECK-NEXT:    %y_53 = ftensor.rescale %y_46, %y_multiplier, %y_shift_7 {minimum = -2147483648, maximum = 2147483647, rounding = "away"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_54 = ftensor.rescale %y_52, %y_multiplier, %y_shift_6 {input_zp = -2147483648, minimum = -2147483648, maximum = 2147483647, rounding = "floor"}
// CHECK-NEXT:    : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_6 = ftensor.constant #graph.blob<i32 [] (-1010580540)> : tensor<i32>
// CHECK-NEXT:    %y_55 = ftensor.rescale %y_54, %y_multiplier_6, %y_shift_5 {output_zp = 1515870810, minimum = -2147483648, maximum = 2147483647, rounding = "up"}
// CHECK-NEXT:    : tensor<1x1xi32>
// CHECK-NEXT:    %y_56 = ftensor.rescale %y_54, %y_55, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_a = ftensor.constant #graph.blob<i32 [] (536870912)> : tensor<i32>
// CHECK-NEXT:    %y_57 = ftensor.sub %y_a, %y_56 : tensor<1x1xi32>
// CHECK-NEXT:    %y_58 = ftensor.rescale %y_55, %y_57, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_7 = ftensor.constant #graph.blob<i32 [] (4)> : tensor<i32>
// CHECK-NEXT:    %y_59 = ftensor.rescale %y_58, %y_multiplier_7, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_60 = ftensor.add %y_55, %y_59 : tensor<1x1xi32>
// CHECK-NEXT:    %y_61 = ftensor.rescale %y_54, %y_60, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_62 = ftensor.sub %y_a, %y_61 : tensor<1x1xi32>
// CHECK-NEXT:    %y_63 = ftensor.rescale %y_60, %y_62, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_64 = ftensor.rescale %y_63, %y_multiplier_7, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_65 = ftensor.add %y_60, %y_64 : tensor<1x1xi32>
// CHECK-NEXT:    %y_66 = ftensor.rescale %y_54, %y_65, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_67 = ftensor.sub %y_a, %y_66 : tensor<1x1xi32>
// CHECK-NEXT:    %y_68 = ftensor.rescale %y_65, %y_67, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_69 = ftensor.rescale %y_68, %y_multiplier_7, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_70 = ftensor.add %y_65, %y_69 : tensor<1x1xi32>
// CHECK-NEXT:    %y_71 = ftensor.rescale %y_70, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_72 = ftensor.rescale %y_53, %y_71, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_8 = ftensor.constant #graph.blob<i32 [] (1488522236)> : tensor<i32>
// CHECK-NEXT:    %y_73 = ftensor.rescale %y_39, %y_multiplier_8, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_74 = ftensor.add %y_73, %y_72 : tensor<1x1xi32>
// CHECK-NEXT:    %y_75 = ftensor.rescale %y_74, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_76 = ftensor.sub %y_6, %y_75 : tensor<1x8xi32>
// CHECK-NEXT:    %y_shift_8 = ftensor.constant #graph.blob<i8 [] (22)> : tensor<i8>
// CHECK-NEXT:    %y_77 = ftensor.rescale %y_76, %y_multiplier, %y_shift_8 {output_zp = 127, rounding = "away"} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_77 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"3ea033b2826bbedad6be4cfeaa8f06a8e3443d9435cb6e9874a05a0835621b05">
// CHECK:       #y_table_1 = #graph.blob<"69529efd2b8ba931736071a028fec8156964958b84cd06a76d4763d7c7b49f92">
// CHECK:       #y_table_2 = #graph.blob<"8bf30c3c6deea56c4285b157ac27f2af79391fd0f4490c5ffc4e33f158d60c11">
// CHECK:       #y_table_3 = #graph.blob<"2e911689a06cd365e8b76589c49d5fbb5dba857fcaa1e9feae186c29f78eac10">
// CHECK:       #y_table_4 = #graph.blob<"ae3f4a8effa805f0d1ae6ca77409a7548809a6c4ae6ce538145db3c155fdaca2">
// CHECK:       #y_table_5 = #graph.blob<"f8729e4143ce473d7eee0707e40ae0dccfbeb0be877f0901026753e6949f0195">
// CHECK:       #y_table_6 = #graph.blob<"142a9dc7c921975c9061f1f6674796d367fac9c3d591340c36d6bef6530bd774">
// CHECK:       #y_table_7 = #graph.blob<"4abd1aa6e52db4f2a829796dbf9f02d40c42208e7e933acb6d1e17041686fb5d">
// CHECK:       #y_table_13 = #graph.blob<"a338294e57e67132122dae06cf75033cd7ba324421a7785db65dbdbbcc627a4a">
