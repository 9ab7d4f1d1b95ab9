// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// (n x - sum) / sqrt(n * sum of squares - sum**2 + eps) * scale + bias, rounded once.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x4x!quant.uniform<i8:f32, 0.03125>> {
    %g = graph.constant #graph.blob<f32 [4] (1.0, 1.0, 1.0, 1.0)> : tensor<4xf32>
    %b = graph.constant #graph.blob<f32 [4] (0.0, 0.0, 0.0, 0.0)> : tensor<4xf32>
    %y = graph.layer_norm %x, %g, %b {axis = 1, epsilon = 1.0e-05} : tensor<1x4x!quant.uniform<i8:f32, 0.03125>> loc("y")
    func.return %y : tensor<1x4x!quant.uniform<i8:f32, 0.03125>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi48>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x4xi48>
// CHECK-NEXT:    %y_1 = ftensor.reduce %y {kind = "sum", axes = array<i64: 1>} : tensor<1x1xi48>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_2 = ftensor.lookup %x, %y_table_1 : tensor<1x4xi48>
// CHECK-NEXT:    %y_3 = ftensor.reduce %y_2 {kind = "sum", axes = array<i64: 1>} : tensor<1x1xi48>
// CHECK-NEXT:    %y_4 = ftensor.mul %y_1, %y_1 : tensor<1x1xi48>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (4)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_5 = ftensor.rescale %y_3, %y_multiplier, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x1xi48>
// CHECK-NEXT:    %y_6 = ftensor.sub %y_5, %y_4 : tensor<1x1xi48>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i64 [] (0)> : tensor<i48>
// CHECK-NEXT:    %y_7 = ftensor.add %y_6, %y_b : tensor<1x1xi48>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (0)> : tensor<i32>
// CHECK-NEXT:    %y_8 = ftensor.rescale %y_7, %y_multiplier_1, %y_shift {output_zp = -128, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_2 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_9 = ftensor.rescale %y_8, %y_multiplier_2, %y_shift {output_zp = 128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_2 = ftensor.constant #y_table_2 : tensor<256xi48>
// CHECK-NEXT:    %y_10 = ftensor.lookup %y_9, %y_table_2 : tensor<1x1xi48>
// CHECK-NEXT:    %y_11 = ftensor.sub %y_7, %y_10 : tensor<1x1xi48>
// CHECK-NEXT:    %y_12 = ftensor.rescale %y_11, %y_multiplier_2, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_b_1 = ftensor.constant #graph.blob<i32 [] (128)> : tensor<i32>
// CHECK-NEXT:    %y_13 = ftensor.mul %y_12, %y_b_1 : tensor<1x1xi32>
// CHECK-NEXT:    %y_14 = ftensor.add %y_8, %y_13 : tensor<1x1xi32>
// CHECK-NEXT:    %y_15 = ftensor.rescale %y_14, %y_multiplier_2, %y_shift {output_zp = 64, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_3 = ftensor.constant #y_table_2 : tensor<256xi48>
// CHECK-NEXT:    %y_16 = ftensor.lookup %y_15, %y_table_3 : tensor<1x1xi48>
// CHECK-NEXT:    %y_17 = ftensor.sub %y_7, %y_16 : tensor<1x1xi48>
// CHECK-NEXT:    %y_18 = ftensor.rescale %y_17, %y_multiplier_2, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_b_2 = ftensor.constant #graph.blob<i32 [] (64)> : tensor<i32>
// CHECK-NEXT:    %y_19 = ftensor.mul %y_18, %y_b_2 : tensor<1x1xi32>
// CHECK-NEXT:    %y_20 = ftensor.add %y_14, %y_19 : tensor<1x1xi32>
// CHECK-NEXT:    %y_21 = ftensor.rescale %y_20, %y_multiplier_2, %y_shift {output_zp = 32, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_4 = ftensor.constant #y_table_2 : tensor<256xi48>
// CHECK-NEXT:    %y_22 = ftensor.lookup %y_21, %y_table_4 : tensor<1x1xi48>
// CHECK-NEXT:    %y_23 = ftensor.sub %y_7, %y_22 : tensor<1x1xi48>
// CHECK-NEXT:    %y_24 = ftensor.rescale %y_23, %y_multiplier_2, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_b_3 = ftensor.constant #graph.blob<i32 [] (32)> : tensor<i32>
// CHECK-NEXT:    %y_25 = ftensor.mul %y_24, %y_b_3 : tensor<1x1xi32>
// CHECK-NEXT:    %y_26 = ftensor.add %y_20, %y_25 : tensor<1x1xi32>
// CHECK-NEXT:    %y_27 = ftensor.rescale %y_26, %y_multiplier_2, %y_shift {output_zp = 16, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_5 = ftensor.constant #y_table_2 : tensor<256xi48>
// CHECK-NEXT:    %y_28 = ftensor.lookup %y_27, %y_table_5 : tensor<1x1xi48>
// CHECK-NEXT:    %y_29 = ftensor.sub %y_7, %y_28 : tensor<1x1xi48>
// CHECK-NEXT:    %y_30 = ftensor.rescale %y_29, %y_multiplier_2, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_b_4 = ftensor.constant #graph.blob<i32 [] (16)> : tensor<i32>
// CHECK-NEXT:    %y_31 = ftensor.mul %y_30, %y_b_4 : tensor<1x1xi32>
// CHECK-NEXT:    %y_32 = ftensor.add %y_26, %y_31 : tensor<1x1xi32>
// CHECK-NEXT:    %y_33 = ftensor.rescale %y_32, %y_multiplier_2, %y_shift {output_zp = 8, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_6 = ftensor.constant #y_table_2 : tensor<256xi48>
// CHECK-NEXT:    %y_34 = ftensor.lookup %y_33, %y_table_6 : tensor<1x1xi48>
// CHECK-NEXT:    %y_35 = ftensor.sub %y_7, %y_34 : tensor<1x1xi48>
// CHECK-NEXT:    %y_36 = ftensor.rescale %y_35, %y_multiplier_2, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_b_5 = ftensor.constant #graph.blob<i32 [] (8)> : tensor<i32>
// CHECK-NEXT:    %y_37 = ftensor.mul %y_36, %y_b_5 : tensor<1x1xi32>
// CHECK-NEXT:    %y_38 = ftensor.add %y_32, %y_37 : tensor<1x1xi32>
// CHECK-NEXT:    %y_39 = ftensor.rescale %y_38, %y_multiplier_2, %y_shift {output_zp = 4, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_7 = ftensor.constant #y_table_2 : tensor<256xi48>
// CHECK-NEXT:    %y_40 = ftensor.lookup %y_39, %y_table_7 : tensor<1x1xi48>
// CHECK-NEXT:    %y_41 = ftensor.sub %y_7, %y_40 : tensor<1x1xi48>
// CHECK-NEXT:    %y_42 = ftensor.rescale %y_41, %y_multiplier_2, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_43 = ftensor.mul %y_42, %y_multiplier : tensor<1x1xi32>
// CHECK-NEXT:    %y_44 = ftensor.add %y_38, %y_43 : tensor<1x1xi32>
// CHECK-NEXT:    %y_45 = ftensor.rescale %y_44, %y_multiplier_2, %y_shift {output_zp = 2, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_8 = ftensor.constant #y_table_2 : tensor<256xi48>
// CHECK-NEXT:    %y_46 = ftensor.lookup %y_45, %y_table_8 : tensor<1x1xi48>
// CHECK-NEXT:    %y_47 = ftensor.sub %y_7, %y_46 : tensor<1x1xi48>
// CHECK-NEXT:    %y_48 = ftensor.rescale %y_47, %y_multiplier_2, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_b_6 = ftensor.constant #graph.blob<i32 [] (2)> : tensor<i32>
// CHECK-NEXT:    %y_49 = ftensor.mul %y_48, %y_b_6 : tensor<1x1xi32>
// CHECK-NEXT:    %y_50 = ftensor.add %y_44, %y_49 : tensor<1x1xi32>
// CHECK-NEXT:    %y_51 = ftensor.rescale %y_50, %y_multiplier_2, %y_shift {output_zp = 1, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_9 = ftensor.constant #y_table_2 : tensor<256xi48>
// CHECK-NEXT:    %y_52 = ftensor.lookup %y_51, %y_table_9 : tensor<1x1xi48>
// CHECK-NEXT:    %y_53 = ftensor.sub %y_7, %y_52 : tensor<1x1xi48>
// CHECK-NEXT:    %y_54 = ftensor.rescale %y_53, %y_multiplier_2, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_55 = ftensor.mul %y_54, %y_multiplier_2 : tensor<1x1xi32>
// CHECK-NEXT:    %y_56 = ftensor.add %y_50, %y_55 : tensor<1x1xi32>
// CHECK-NEXT:    %y_57 = ftensor.rescale %y_56, %y_multiplier_2, %y_shift {rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_10 = ftensor.constant #y_table_10 : tensor<256xi48>
// CHECK-NEXT:    %y_58 = ftensor.lookup %y_57, %y_table_10 : tensor<1x1xi48>
// CHECK-NEXT:    %y_59 = ftensor.mul %y_6, %y_58 : tensor<1x1xi48>
// CHECK-NEXT:    %y_table_11 = ftensor.constant #y_table_11 : tensor<256xi48>
// CHECK-NEXT:    %y_60 = ftensor.lookup %y_57, %y_table_11 : tensor<1x1xi48>
// CHECK-NEXT:    %y_61 = ftensor.add %y_59, %y_60 : tensor<1x1xi48>
// CHECK-NEXT:    %y_b_7 = ftensor.constant #graph.blob<i64 [] (17592186044416)> : tensor<i48>
// CHECK-NEXT:    %y_62 = ftensor.maximum %y_61, %y_b_7 : tensor<1x1xi48>
// CHECK-NEXT:    %y_b_8 = ftensor.constant #graph.blob<i64 [] (70368744177663)> : tensor<i48>
// CHECK-NEXT:    %y_63 = ftensor.minimum %y_62, %y_b_8 : tensor<1x1xi48>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (15)> : tensor<i8>
// CHECK-NEXT:    %y_64 = ftensor.rescale %y_63, %y_multiplier_2, %y_shift_1 {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_3 = ftensor.constant #graph.blob<i32 [] (32768)> : tensor<i32>
// CHECK-NEXT:    %y_65 = ftensor.rescale %y_64, %y_multiplier_3, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x1xi48>
// CHECK-NEXT:    %y_66 = ftensor.sub %y_63, %y_65 : tensor<1x1xi48>
// CHECK-NEXT:    %y_67 = ftensor.rescale %y_66, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "even"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_shift_2 = ftensor.constant #graph.blob<i8 [] (23)> : tensor<i8>
// CHECK-NEXT:    %y_68 = ftensor.rescale %y_64, %y_multiplier_2, %y_shift_2 {output_zp = -128, rounding = "floor"} : tensor<1x1xi8>
// CHECK-NEXT:    %y_table_12 = ftensor.constant #y_table_12 : tensor<256xi32>
// CHECK-NEXT:    %y_69 = ftensor.lookup %y_68, %y_table_12 : tensor<1x1xi32>
// CHECK-NEXT:    %y_shift_3 = ftensor.constant #graph.blob<i8 [] (30)> : tensor<i8>
// CHECK-NEXT:    %y_70 = ftensor.rescale %y_69, %y_69, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_71 = ftensor.rescale %y_70, %y_64, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_a = ftensor.constant #graph.blob<i32 [] (1610612736)> : tensor<i32>
// CHECK-NEXT:    %y_72 = ftensor.sub %y_a, %y_71 : tensor<1x1xi32>
// CHECK-NEXT:    %y_73 = ftensor.rescale %y_69, %y_72, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_74 = ftensor.rescale %y_73, %y_73, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_75 = ftensor.rescale %y_74, %y_64, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_76 = ftensor.sub %y_a, %y_75 : tensor<1x1xi32>
// CHECK-NEXT:    %y_77 = ftensor.rescale %y_73, %y_76, %y_shift_3 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_shift_4 = ftensor.constant #graph.blob<i8 [] (14)> : tensor<i8>
// CHECK-NEXT:    %y_78 = ftensor.rescale %y_77, %y_77, %y_shift_4 {minimum = -140737488355328, maximum = 140737488355327, rounding = "up"} : tensor<1x1xi48>
// CHECK-NEXT:    %y_shift_5 = ftensor.constant #graph.blob<i8 [] (16)> : tensor<i8>
// CHECK-NEXT:    %y_79 = ftensor.rescale %y_78, %y_multiplier_2, %y_shift_5 {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_4 = ftensor.constant #graph.blob<i32 [] (65536)> : tensor<i32>
// CHECK-NEXT:    %y_80 = ftensor.rescale %y_79, %y_multiplier_4, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x1xi48>
// CHECK-NEXT:    %y_81 = ftensor.sub %y_78, %y_80 : tensor<1x1xi48>
// CHECK-NEXT:    %y_82 = ftensor.rescale %y_81, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "even"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_83 = ftensor.rescale %y_64, %y_79, %y_shift_4 {minimum = -140737488355328, maximum = 140737488355327, rounding = "up"} : tensor<1x1xi48>
// CHECK-NEXT:    %y_84 = ftensor.rescale %y_64, %y_82, %y_shift_3 {minimum = -140737488355328, maximum = 140737488355327, rounding = "up"} : tensor<1x1xi48>
// CHECK-NEXT:    %y_85 = ftensor.add %y_83, %y_84 : tensor<1x1xi48>
// CHECK-NEXT:    %y_shift_6 = ftensor.constant #graph.blob<i8 [] (29)> : tensor<i8>
// CHECK-NEXT:    %y_86 = ftensor.rescale %y_67, %y_79, %y_shift_6 {minimum = -140737488355328, maximum = 140737488355327, rounding = "up"} : tensor<1x1xi48>
// CHECK-NEXT:    %y_87 = ftensor.add %y_85, %y_86 : tensor<1x1xi48>
// CHECK-NEXT:    %y_a_1 = ftensor.constant #graph.blob<i64 [] (35184372088832)> : tensor<i48>
// CHECK-NEXT:    %y_88 = ftensor.sub %y_a_1, %y_87 : tensor<1x1xi48>
// CHECK-NEXT:    %y_shift_7 = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %y_89 = ftensor.rescale %y_88, %y_77, %y_shift_7 {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_5 = ftensor.constant #graph.blob<i32 [] (16777216)> : tensor<i32>
// CHECK-NEXT:    %y_90 = ftensor.rescale %x, %y_multiplier_5, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_multiplier_6 = ftensor.constant #graph.blob<i32 [] (4194304)> : tensor<i32>
// CHECK-NEXT:    %y_91 = ftensor.rescale %y_1, %y_multiplier_6, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x1xi48>
// CHECK-NEXT:    %y_92 = ftensor.sub %y_90, %y_91 : tensor<1x4xi48>
// CHECK-NEXT:    %y_table_13 = ftensor.constant #y_table_13 : tensor<256xi8>
// CHECK-NEXT:    %y_93 = ftensor.lookup %y_57, %y_table_13 : tensor<1x1xi8>
// CHECK-NEXT:    %y_94 = ftensor.rescale %y_92, %y_77, %y_93 {minimum = -140737488355328, maximum = 140737488355327, rounding = "up"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_table_14 = ftensor.constant #y_table_14 : tensor<256xi8>
// CHECK-NEXT:    %y_95 = ftensor.lookup %y_57, %y_table_14 : tensor<1x1xi8>
// CHECK-NEXT:    %y_96 = ftensor.rescale %y_92, %y_89, %y_95 {minimum = -140737488355328, maximum = 140737488355327, rounding = "up"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_97 = ftensor.add %y_94, %y_96 : tensor<1x4xi48>
// CHECK-NEXT:    %y_98 = ftensor.rescale %y_97, %y_multiplier_2, %y_shift_1 {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_99 = ftensor.rescale %y_98, %y_multiplier_3, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_100 = ftensor.sub %y_97, %y_99 : tensor<1x4xi48>
// CHECK-NEXT:    %y_101 = ftensor.rescale %y_100, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "even"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_multiplier_7 = ftensor.constant #graph.blob<i32 [] (536870912)> : tensor<i32>
// CHECK-NEXT:    %y_shift_8 = ftensor.constant #graph.blob<i8 [] (20)> : tensor<i8>
// CHECK-NEXT:    %y_102 = ftensor.rescale %y_98, %y_multiplier_7, %y_shift_8 {minimum = -70368744177664, maximum = 70368744177664, rounding = "up"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_shift_9 = ftensor.constant #graph.blob<i8 [] (35)> : tensor<i8>
// CHECK-NEXT:    %y_103 = ftensor.rescale %y_101, %y_multiplier_7, %y_shift_9 {minimum = -70368744177664, maximum = 70368744177664, rounding = "up"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_104 = ftensor.add %y_102, %y_103 : tensor<1x4xi48>
// CHECK-NEXT:    %y_shift_10 = ftensor.constant #graph.blob<i8 [] (50)> : tensor<i8>
// CHECK-NEXT:    %y_105 = ftensor.rescale %y_98, %y_multiplier_1, %y_shift_10 {minimum = -70368744177664, maximum = 70368744177664, rounding = "up"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_106 = ftensor.add %y_104, %y_105 : tensor<1x4xi48>
// CHECK-NEXT:    %y_b_9 = ftensor.constant #graph.blob<i64 [4] (0, 0, 0, 0)> : tensor<4xi48>
// CHECK-NEXT:    %y_107 = ftensor.add %y_106, %y_b_9 : tensor<1x4xi48>
// CHECK-NEXT:    %y_shift_11 = ftensor.constant #graph.blob<i8 [] (33)> : tensor<i8>
// CHECK-NEXT:    %y_108 = ftensor.rescale %y_107, %y_multiplier_2, %y_shift_11 {rounding = "near_even"} : tensor<1x4xi8>
// CHECK-NEXT:    func.return %y_108 : tensor<1x4xi8>
// CHECK:       #y_table = #graph.blob<"b5e19b07cace847b731d0a8b6ae2a1a32911c4b2c9f42cc37f1e5143fc9c4d4c">
// CHECK:       #y_table_1 = #graph.blob<"e9501b241022d017190941f4ecebc7a5bb51c6554e266ed1f16cd5ef3c2cfa51">
// CHECK:       #y_table_2 = #graph.blob<"715bbcb719393d7273bd8a9dfc5c2847d9b88c136bcd0f0d764a618d4b3c6d5e">
// CHECK:       #y_table_10 = #graph.blob<"5a17feda0d1a36be3c01c5b9f75359099d4048321277228e9bb7088a43db0aa5">
// CHECK:       #y_table_11 = #graph.blob<"992ac0e086970617283a5c628914bc0579c5d80138e403e3cc14f5d819b18b5b">
// CHECK:       #y_table_12 = #graph.blob<"6f7a8fffbb93621936ab1d3f9ebaef0c8b4272d2e8cb37b56c046b7aad0001f1">
// CHECK:       #y_table_13 = #graph.blob<"f7a6075d7bf9bb56fd66d2fe53b82c015a475a3b5beedf293b540e5a7bd9c46c">
// CHECK:       #y_table_14 = #graph.blob<"c2e009d1bd706924d1d71805eac204c352ff4deadc7abd104ebe3da506641547">
