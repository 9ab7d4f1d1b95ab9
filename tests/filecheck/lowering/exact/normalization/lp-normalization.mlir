// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// p = 1: a quotient of integers. p = 2: m steps are reached where x**2 >= (m - 1/2)**2 * S.
//
// S is the sum of squares, m counts steps from 0 and the sign is put back last: the squares are
// compared as x**2 * W >= S with a 31-bit factor W for each m, so no root is taken.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x4x!quant.uniform<i8:f32, 0.0078125>> {
    %y = graph.lp_normalization %x {axis = 1, p = 2} : tensor<1x4x!quant.uniform<i8:f32, 0.0078125>> loc("y")
    func.return %y : tensor<1x4x!quant.uniform<i8:f32, 0.0078125>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi48>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x4xi48>
// CHECK-NEXT:    %y_1 = ftensor.reduce %y {kind = "sum", axes = array<i64: 1>} : tensor<1x1xi48>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i64 [] (1)> : tensor<i48>
// CHECK-NEXT:    %y_2 = ftensor.maximum %y_1, %y_b : tensor<1x1xi48>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_3 = ftensor.lookup %x, %y_table_1 : tensor<1x4xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (0)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_4 = ftensor.rescale %y_3, %y_multiplier, %y_shift {output_zp = -128, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_5 = ftensor.rescale %y_4, %y_multiplier_1, %y_shift {output_zp = 128, rounding = "floor"} : tensor<1x4xi8>
// CHECK-NEXT:    %y_table_2 = ftensor.constant #y_table_2 : tensor<256xi32>
// CHECK-NEXT:    %y_6 = ftensor.lookup %y_5, %y_table_2 : tensor<1x4xi32>
// CHECK-NEXT:    %y_table_3 = ftensor.constant #y_table_3 : tensor<256xi8>
// CHECK-NEXT:    %y_7 = ftensor.lookup %y_5, %y_table_3 : tensor<1x4xi8>
// CHECK-NEXT:    %y_8 = ftensor.rescale %y_3, %y_6, %y_7 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_9 = ftensor.sub %y_8, %y_2 : tensor<1x4xi48>
// CHECK-NEXT:    %y_10 = ftensor.rescale %y_9, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_b_1 = ftensor.constant #graph.blob<i32 [] (128)> : tensor<i32>
// CHECK-NEXT:    %y_11 = ftensor.mul %y_10, %y_b_1 : tensor<1x4xi32>
// CHECK-NEXT:    %y_12 = ftensor.add %y_4, %y_11 : tensor<1x4xi32>
// CHECK-NEXT:    %y_13 = ftensor.rescale %y_12, %y_multiplier_1, %y_shift {output_zp = 64, rounding = "floor"} : tensor<1x4xi8>
// CHECK-NEXT:    %y_table_4 = ftensor.constant #y_table_2 : tensor<256xi32>
// CHECK-NEXT:    %y_14 = ftensor.lookup %y_13, %y_table_4 : tensor<1x4xi32>
// CHECK-NEXT:    %y_table_5 = ftensor.constant #y_table_3 : tensor<256xi8>
// CHECK-NEXT:    %y_15 = ftensor.lookup %y_13, %y_table_5 : tensor<1x4xi8>
// CHECK-NEXT:    %y_16 = ftensor.rescale %y_3, %y_14, %y_15 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_17 = ftensor.sub %y_16, %y_2 : tensor<1x4xi48>
// CHECK-NEXT:    %y_18 = ftensor.rescale %y_17, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_b_2 = ftensor.constant #graph.blob<i32 [] (64)> : tensor<i32>
// CHECK-NEXT:    %y_19 = ftensor.mul %y_18, %y_b_2 : tensor<1x4xi32>
// CHECK-NEXT:    %y_20 = ftensor.add %y_12, %y_19 : tensor<1x4xi32>
// CHECK-NEXT:    %y_21 = ftensor.rescale %y_20, %y_multiplier_1, %y_shift {output_zp = 32, rounding = "floor"} : tensor<1x4xi8>
// CHECK-NEXT:    %y_table_6 = ftensor.constant #y_table_2 : tensor<256xi32>
// CHECK-NEXT:    %y_22 = ftensor.lookup %y_21, %y_table_6 : tensor<1x4xi32>
// CHECK-NEXT:    %y_table_7 = ftensor.constant #y_table_3 : tensor<256xi8>
// CHECK-NEXT:    %y_23 = ftensor.lookup %y_21, %y_table_7 : tensor<1x4xi8>
// CHECK-NEXT:    %y_24 = ftensor.rescale %y_3, %y_22, %y_23 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_25 = ftensor.sub %y_24, %y_2 : tensor<1x4xi48>
// CHECK-NEXT:    %y_26 = ftensor.rescale %y_25, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_b_3 = ftensor.constant #graph.blob<i32 [] (32)> : tensor<i32>
// CHECK-NEXT:    %y_27 = ftensor.mul %y_26, %y_b_3 : tensor<1x4xi32>
// CHECK-NEXT:    %y_28 = ftensor.add %y_20, %y_27 : tensor<1x4xi32>
// CHECK-NEXT:    %y_29 = ftensor.rescale %y_28, %y_multiplier_1, %y_shift {output_zp = 16, rounding = "floor"} : tensor<1x4xi8>
// CHECK-NEXT:    %y_table_8 = ftensor.constant #y_table_2 : tensor<256xi32>
// CHECK-NEXT:    %y_30 = ftensor.lookup %y_29, %y_table_8 : tensor<1x4xi32>
// CHECK-NEXT:    %y_table_9 = ftensor.constant #y_table_3 : tensor<256xi8>
// CHECK-NEXT:    %y_31 = ftensor.lookup %y_29, %y_table_9 : tensor<1x4xi8>
// CHECK-NEXT:    %y_32 = ftensor.rescale %y_3, %y_30, %y_31 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_33 = ftensor.sub %y_32, %y_2 : tensor<1x4xi48>
// CHECK-NEXT:    %y_34 = ftensor.rescale %y_33, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_b_4 = ftensor.constant #graph.blob<i32 [] (16)> : tensor<i32>
// CHECK-NEXT:    %y_35 = ftensor.mul %y_34, %y_b_4 : tensor<1x4xi32>
// CHECK-NEXT:    %y_36 = ftensor.add %y_28, %y_35 : tensor<1x4xi32>
// CHECK-NEXT:    %y_37 = ftensor.rescale %y_36, %y_multiplier_1, %y_shift {output_zp = 8, rounding = "floor"} : tensor<1x4xi8>
// CHECK-NEXT:    %y_table_10 = ftensor.constant #y_table_2 : tensor<256xi32>
// CHECK-NEXT:    %y_38 = ftensor.lookup %y_37, %y_table_10 : tensor<1x4xi32>
// CHECK-NEXT:    %y_table_11 = ftensor.constant #y_table_3 : tensor<256xi8>
// CHECK-NEXT:    %y_39 = ftensor.lookup %y_37, %y_table_11 : tensor<1x4xi8>
// CHECK-NEXT:    %y_40 = ftensor.rescale %y_3, %y_38, %y_39 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_41 = ftensor.sub %y_40, %y_2 : tensor<1x4xi48>
// CHECK-NEXT:    %y_42 = ftensor.rescale %y_41, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_b_5 = ftensor.constant #graph.blob<i32 [] (8)> : tensor<i32>
// CHECK-NEXT:    %y_43 = ftensor.mul %y_42, %y_b_5 : tensor<1x4xi32>
// CHECK-NEXT:    %y_44 = ftensor.add %y_36, %y_43 : tensor<1x4xi32>
// CHECK-NEXT:    %y_45 = ftensor.rescale %y_44, %y_multiplier_1, %y_shift {output_zp = 4, rounding = "floor"} : tensor<1x4xi8>
// CHECK-NEXT:    %y_table_12 = ftensor.constant #y_table_2 : tensor<256xi32>
// CHECK-NEXT:    %y_46 = ftensor.lookup %y_45, %y_table_12 : tensor<1x4xi32>
// CHECK-NEXT:    %y_table_13 = ftensor.constant #y_table_3 : tensor<256xi8>
// CHECK-NEXT:    %y_47 = ftensor.lookup %y_45, %y_table_13 : tensor<1x4xi8>
// CHECK-NEXT:    %y_48 = ftensor.rescale %y_3, %y_46, %y_47 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_49 = ftensor.sub %y_48, %y_2 : tensor<1x4xi48>
// CHECK-NEXT:    %y_50 = ftensor.rescale %y_49, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_b_6 = ftensor.constant #graph.blob<i32 [] (4)> : tensor<i32>
// CHECK-NEXT:    %y_51 = ftensor.mul %y_50, %y_b_6 : tensor<1x4xi32>
// CHECK-NEXT:    %y_52 = ftensor.add %y_44, %y_51 : tensor<1x4xi32>
// CHECK-NEXT:    %y_53 = ftensor.rescale %y_52, %y_multiplier_1, %y_shift {output_zp = 2, rounding = "floor"} : tensor<1x4xi8>
// CHECK-NEXT:    %y_table_14 = ftensor.constant #y_table_2 : tensor<256xi32>
// CHECK-NEXT:    %y_54 = ftensor.lookup %y_53, %y_table_14 : tensor<1x4xi32>
// CHECK-NEXT:    %y_table_15 = ftensor.constant #y_table_3 : tensor<256xi8>
// CHECK-NEXT:    %y_55 = ftensor.lookup %y_53, %y_table_15 : tensor<1x4xi8>
// CHECK-NEXT:    %y_56 = ftensor.rescale %y_3, %y_54, %y_55 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_57 = ftensor.sub %y_56, %y_2 : tensor<1x4xi48>
// CHECK-NEXT:    %y_58 = ftensor.rescale %y_57, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_b_7 = ftensor.constant #graph.blob<i32 [] (2)> : tensor<i32>
// CHECK-NEXT:    %y_59 = ftensor.mul %y_58, %y_b_7 : tensor<1x4xi32>
// CHECK-NEXT:    %y_60 = ftensor.add %y_52, %y_59 : tensor<1x4xi32>
// CHECK-NEXT:    %y_61 = ftensor.rescale %y_60, %y_multiplier_1, %y_shift {output_zp = 1, rounding = "floor"} : tensor<1x4xi8>
// CHECK-NEXT:    %y_table_16 = ftensor.constant #y_table_2 : tensor<256xi32>
// CHECK-NEXT:    %y_62 = ftensor.lookup %y_61, %y_table_16 : tensor<1x4xi32>
// CHECK-NEXT:    %y_table_17 = ftensor.constant #y_table_3 : tensor<256xi8>
// CHECK-NEXT:    %y_63 = ftensor.lookup %y_61, %y_table_17 : tensor<1x4xi8>
// CHECK-NEXT:    %y_64 = ftensor.rescale %y_3, %y_62, %y_63 {minimum = -70368744177664, maximum = 70368744177664, rounding = "floor"} : tensor<1x4xi48>
// CHECK-NEXT:    %y_65 = ftensor.sub %y_64, %y_2 : tensor<1x4xi48>
// CHECK-NEXT:    %y_66 = ftensor.rescale %y_65, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_67 = ftensor.mul %y_66, %y_multiplier_1 : tensor<1x4xi32>
// CHECK-NEXT:    %y_68 = ftensor.add %y_60, %y_67 : tensor<1x4xi32>
// CHECK-NEXT:    %y_69 = ftensor.rescale %y_68, %y_multiplier_1, %y_shift {rounding = "floor"} : tensor<1x4xi8>
// CHECK-NEXT:    %y_70 = ftensor.rescale %y_69, %y_multiplier_1, %y_shift {input_zp = -128, minimum = 0, maximum = 255, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_table_18 = ftensor.constant #y_table_18 : tensor<256xi32>
// CHECK-NEXT:    %y_71 = ftensor.lookup %x, %y_table_18 : tensor<1x4xi32>
// CHECK-NEXT:    %y_72 = ftensor.mul %y_70, %y_71 : tensor<1x4xi32>
// CHECK-NEXT:    %y_73 = ftensor.rescale %y_72, %y_multiplier_1, %y_shift {rounding = "floor"} : tensor<1x4xi8>
// CHECK-NEXT:    func.return %y_73 : tensor<1x4xi8>
// CHECK:       #y_table = #graph.blob<"5434979987f63e796128e17ce57cce9adbd7db579ad82a0c7c8a52e4db44638a">
// CHECK:       #y_table_1 = #graph.blob<"8ca504ec57260b49e1360c4e7d9cca33b0f91942b769df08d0c7db04e6c1773d">
// CHECK:       #y_table_2 = #graph.blob<"e5a5f5ee06d82bc91b93bce7d34d136b2d3fa46d338c911d8f50dc4451b2388f">
// CHECK:       #y_table_3 = #graph.blob<"bd47ce6e33e24fc5062d07253a836de4dfe48937f192447a2b2dc637c0fd28e0">
// CHECK:       #y_table_18 = #graph.blob<"b8841f1b0e6e59f290157290f6cff1c2725a02b8b3b09e76a171f9f0a421664c">
