// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// y reaches its edge t where exp(d) * exp(-t) >= S, d being x - max and S the sum of exp(d).
//
// Both exponentials are tables of 31-bit mantissas and exponents, S is in fixed point (46 bits for
// the whole sum): no logarithm is taken. The comparison's relative error of some 2**-30 is an error
// of the result of 2**-30 / result_scale steps.

builtin.module attributes {graph.source = "onnx"} {
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
// CHECK-NEXT:    %y_table = ftensor.constant #y_table : tensor<256xi48>
// CHECK-NEXT:    %y_3 = ftensor.lookup %y_2, %y_table : tensor<1x8xi48>
// CHECK-NEXT:    %y_4 = ftensor.reduce %y_3 {kind = "sum", axes = array<i64: 1>} : tensor<1x1xi48>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_5 = ftensor.lookup %y_2, %y_table_1 : tensor<1x8xi32>
// CHECK-NEXT:    %y_table_2 = ftensor.constant #y_table_2 : tensor<256xi32>
// CHECK-NEXT:    %y_6 = ftensor.lookup %y_2, %y_table_2 : tensor<1x8xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (0)> : tensor<i32>
// CHECK-NEXT:    %y_7 = ftensor.rescale %y_5, %y_multiplier_1, %y_shift {output_zp = -128, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_8 = ftensor.rescale %y_7, %y_multiplier, %y_shift {output_zp = 128, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_3 = ftensor.constant #y_table_3 : tensor<256xi32>
// CHECK-NEXT:    %y_9 = ftensor.lookup %y_8, %y_table_3 : tensor<1x8xi32>
// CHECK-NEXT:    %y_10 = ftensor.add %y_6, %y_9 : tensor<1x8xi32>
// CHECK-NEXT:    %y_11 = ftensor.rescale %y_10, %y_multiplier, %y_shift {minimum = 0, maximum = 62, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_4 = ftensor.constant #y_table_4 : tensor<256xi32>
// CHECK-NEXT:    %y_12 = ftensor.lookup %y_8, %y_table_4 : tensor<1x8xi32>
// CHECK-NEXT:    %y_13 = ftensor.rescale %y_5, %y_12, %y_11 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x8xi48>
// CHECK-NEXT:    %y_14 = ftensor.sub %y_13, %y_4 : tensor<1x8xi48>
// CHECK-NEXT:    %y_15 = ftensor.rescale %y_14, %y_multiplier, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i32 [] (128)> : tensor<i32>
// CHECK-NEXT:    %y_16 = ftensor.mul %y_15, %y_b : tensor<1x8xi32>
// CHECK-NEXT:    %y_17 = ftensor.add %y_7, %y_16 : tensor<1x8xi32>
// CHECK-NEXT:    %y_18 = ftensor.rescale %y_17, %y_multiplier, %y_shift {output_zp = 64, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_5 = ftensor.constant #y_table_3 : tensor<256xi32>
// CHECK-NEXT:    %y_19 = ftensor.lookup %y_18, %y_table_5 : tensor<1x8xi32>
// CHECK-NEXT:    %y_20 = ftensor.add %y_6, %y_19 : tensor<1x8xi32>
// CHECK-NEXT:    %y_21 = ftensor.rescale %y_20, %y_multiplier, %y_shift {minimum = 0, maximum = 62, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_6 = ftensor.constant #y_table_4 : tensor<256xi32>
// CHECK-NEXT:    %y_22 = ftensor.lookup %y_18, %y_table_6 : tensor<1x8xi32>
// CHECK-NEXT:    %y_23 = ftensor.rescale %y_5, %y_22, %y_21 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x8xi48>
// CHECK-NEXT:    %y_24 = ftensor.sub %y_23, %y_4 : tensor<1x8xi48>
// CHECK-NEXT:    %y_25 = ftensor.rescale %y_24, %y_multiplier, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_b_1 = ftensor.constant #graph.blob<i32 [] (64)> : tensor<i32>
// CHECK-NEXT:    %y_26 = ftensor.mul %y_25, %y_b_1 : tensor<1x8xi32>
// CHECK-NEXT:    %y_27 = ftensor.add %y_17, %y_26 : tensor<1x8xi32>
// CHECK-NEXT:    %y_28 = ftensor.rescale %y_27, %y_multiplier, %y_shift {output_zp = 32, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_7 = ftensor.constant #y_table_3 : tensor<256xi32>
// CHECK-NEXT:    %y_29 = ftensor.lookup %y_28, %y_table_7 : tensor<1x8xi32>
// CHECK-NEXT:    %y_30 = ftensor.add %y_6, %y_29 : tensor<1x8xi32>
// CHECK-NEXT:    %y_31 = ftensor.rescale %y_30, %y_multiplier, %y_shift {minimum = 0, maximum = 62, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_8 = ftensor.constant #y_table_4 : tensor<256xi32>
// CHECK-NEXT:    %y_32 = ftensor.lookup %y_28, %y_table_8 : tensor<1x8xi32>
// CHECK-NEXT:    %y_33 = ftensor.rescale %y_5, %y_32, %y_31 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x8xi48>
// CHECK-NEXT:    %y_34 = ftensor.sub %y_33, %y_4 : tensor<1x8xi48>
// CHECK-NEXT:    %y_35 = ftensor.rescale %y_34, %y_multiplier, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_b_2 = ftensor.constant #graph.blob<i32 [] (32)> : tensor<i32>
// CHECK-NEXT:    %y_36 = ftensor.mul %y_35, %y_b_2 : tensor<1x8xi32>
// CHECK-NEXT:    %y_37 = ftensor.add %y_27, %y_36 : tensor<1x8xi32>
// CHECK-NEXT:    %y_38 = ftensor.rescale %y_37, %y_multiplier, %y_shift {output_zp = 16, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_9 = ftensor.constant #y_table_3 : tensor<256xi32>
// CHECK-NEXT:    %y_39 = ftensor.lookup %y_38, %y_table_9 : tensor<1x8xi32>
// CHECK-NEXT:    %y_40 = ftensor.add %y_6, %y_39 : tensor<1x8xi32>
// CHECK-NEXT:    %y_41 = ftensor.rescale %y_40, %y_multiplier, %y_shift {minimum = 0, maximum = 62, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_10 = ftensor.constant #y_table_4 : tensor<256xi32>
// CHECK-NEXT:    %y_42 = ftensor.lookup %y_38, %y_table_10 : tensor<1x8xi32>
// CHECK-NEXT:    %y_43 = ftensor.rescale %y_5, %y_42, %y_41 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x8xi48>
// CHECK-NEXT:    %y_44 = ftensor.sub %y_43, %y_4 : tensor<1x8xi48>
// CHECK-NEXT:    %y_45 = ftensor.rescale %y_44, %y_multiplier, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_b_3 = ftensor.constant #graph.blob<i32 [] (16)> : tensor<i32>
// CHECK-NEXT:    %y_46 = ftensor.mul %y_45, %y_b_3 : tensor<1x8xi32>
// CHECK-NEXT:    %y_47 = ftensor.add %y_37, %y_46 : tensor<1x8xi32>
// CHECK-NEXT:    %y_48 = ftensor.rescale %y_47, %y_multiplier, %y_shift {output_zp = 8, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_11 = ftensor.constant #y_table_3 : tensor<256xi32>
// CHECK-NEXT:    %y_49 = ftensor.lookup %y_48, %y_table_11 : tensor<1x8xi32>
// CHECK-NEXT:    %y_50 = ftensor.add %y_6, %y_49 : tensor<1x8xi32>
// CHECK-NEXT:    %y_51 = ftensor.rescale %y_50, %y_multiplier, %y_shift {minimum = 0, maximum = 62, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_12 = ftensor.constant #y_table_4 : tensor<256xi32>
// CHECK-NEXT:    %y_52 = ftensor.lookup %y_48, %y_table_12 : tensor<1x8xi32>
// CHECK-NEXT:    %y_53 = ftensor.rescale %y_5, %y_52, %y_51 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x8xi48>
// CHECK-NEXT:    %y_54 = ftensor.sub %y_53, %y_4 : tensor<1x8xi48>
// CHECK-NEXT:    %y_55 = ftensor.rescale %y_54, %y_multiplier, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_b_4 = ftensor.constant #graph.blob<i32 [] (8)> : tensor<i32>
// CHECK-NEXT:    %y_56 = ftensor.mul %y_55, %y_b_4 : tensor<1x8xi32>
// CHECK-NEXT:    %y_57 = ftensor.add %y_47, %y_56 : tensor<1x8xi32>
// CHECK-NEXT:    %y_58 = ftensor.rescale %y_57, %y_multiplier, %y_shift {output_zp = 4, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_13 = ftensor.constant #y_table_3 : tensor<256xi32>
// CHECK-NEXT:    %y_59 = ftensor.lookup %y_58, %y_table_13 : tensor<1x8xi32>
// CHECK-NEXT:    %y_60 = ftensor.add %y_6, %y_59 : tensor<1x8xi32>
// CHECK-NEXT:    %y_61 = ftensor.rescale %y_60, %y_multiplier, %y_shift {minimum = 0, maximum = 62, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_14 = ftensor.constant #y_table_4 : tensor<256xi32>
// CHECK-NEXT:    %y_62 = ftensor.lookup %y_58, %y_table_14 : tensor<1x8xi32>
// CHECK-NEXT:    %y_63 = ftensor.rescale %y_5, %y_62, %y_61 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x8xi48>
// CHECK-NEXT:    %y_64 = ftensor.sub %y_63, %y_4 : tensor<1x8xi48>
// CHECK-NEXT:    %y_65 = ftensor.rescale %y_64, %y_multiplier, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_b_5 = ftensor.constant #graph.blob<i32 [] (4)> : tensor<i32>
// CHECK-NEXT:    %y_66 = ftensor.mul %y_65, %y_b_5 : tensor<1x8xi32>
// CHECK-NEXT:    %y_67 = ftensor.add %y_57, %y_66 : tensor<1x8xi32>
// CHECK-NEXT:    %y_68 = ftensor.rescale %y_67, %y_multiplier, %y_shift {output_zp = 2, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_15 = ftensor.constant #y_table_3 : tensor<256xi32>
// CHECK-NEXT:    %y_69 = ftensor.lookup %y_68, %y_table_15 : tensor<1x8xi32>
// CHECK-NEXT:    %y_70 = ftensor.add %y_6, %y_69 : tensor<1x8xi32>
// CHECK-NEXT:    %y_71 = ftensor.rescale %y_70, %y_multiplier, %y_shift {minimum = 0, maximum = 62, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_16 = ftensor.constant #y_table_4 : tensor<256xi32>
// CHECK-NEXT:    %y_72 = ftensor.lookup %y_68, %y_table_16 : tensor<1x8xi32>
// CHECK-NEXT:    %y_73 = ftensor.rescale %y_5, %y_72, %y_71 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x8xi48>
// CHECK-NEXT:    %y_74 = ftensor.sub %y_73, %y_4 : tensor<1x8xi48>
// CHECK-NEXT:    %y_75 = ftensor.rescale %y_74, %y_multiplier, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_b_6 = ftensor.constant #graph.blob<i32 [] (2)> : tensor<i32>
// CHECK-NEXT:    %y_76 = ftensor.mul %y_75, %y_b_6 : tensor<1x8xi32>
// CHECK-NEXT:    %y_77 = ftensor.add %y_67, %y_76 : tensor<1x8xi32>
// CHECK-NEXT:    %y_78 = ftensor.rescale %y_77, %y_multiplier, %y_shift {output_zp = 1, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_17 = ftensor.constant #y_table_3 : tensor<256xi32>
// CHECK-NEXT:    %y_79 = ftensor.lookup %y_78, %y_table_17 : tensor<1x8xi32>
// CHECK-NEXT:    %y_80 = ftensor.add %y_6, %y_79 : tensor<1x8xi32>
// CHECK-NEXT:    %y_81 = ftensor.rescale %y_80, %y_multiplier, %y_shift {minimum = 0, maximum = 62, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_18 = ftensor.constant #y_table_4 : tensor<256xi32>
// CHECK-NEXT:    %y_82 = ftensor.lookup %y_78, %y_table_18 : tensor<1x8xi32>
// CHECK-NEXT:    %y_83 = ftensor.rescale %y_5, %y_82, %y_81 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x8xi48>
// CHECK-NEXT:    %y_84 = ftensor.sub %y_83, %y_4 : tensor<1x8xi48>
// CHECK-NEXT:    %y_85 = ftensor.rescale %y_84, %y_multiplier, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_86 = ftensor.mul %y_85, %y_multiplier : tensor<1x8xi32>
// CHECK-NEXT:    %y_87 = ftensor.add %y_77, %y_86 : tensor<1x8xi32>
// CHECK-NEXT:    %y_88 = ftensor.rescale %y_87, %y_multiplier, %y_shift {rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_88 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"601fab498915aeba2d507f5e7fc9bc371350a0db0fd9afc4f25d658a99a2f900">
// CHECK:       #y_table_1 = #graph.blob<"48e78e8cc3c41a97ac4b02bd3bccedfd612091e97caf085c3d87ad8bae9d47f1">
// CHECK:       #y_table_2 = #graph.blob<"779f01051bcb9a60eda6b19b4cc9704b32e5d24aefdec9d6220aed92bb0f923a">
// CHECK:       #y_table_3 = #graph.blob<"02b3b0fad4faeb4c42d222d98dadd9d49a12f671a3aa59e7cfeb09ea67858626">
// CHECK:       #y_table_4 = #graph.blob<"99a58ddb89c4da80373a05b8ee5e1ba746bf1350a3b7d4fbb1507a02dac8d4fe">
