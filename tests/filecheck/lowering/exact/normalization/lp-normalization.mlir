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
// CHECK-NEXT:    %y_1 = ftensor.reduce %y {kind = "sum", axes = [1]} : tensor<1x1xi48>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i64 [] (1)> : tensor<i48>
// CHECK-NEXT:    %y_2 = ftensor.maximum %y_1, %y_b : tensor<1x1xi48>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_3 = ftensor.lookup %x, %y_table_1 : tensor<1x4xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (0)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_4 = ftensor.rescale %y_3, %y_multiplier, %y_shift {output_zp = -128, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_5 = ftensor.rescale %y_4, %y_multiplier_1, %y_shift {output_zp = 128, rounding = "floor"} : tensor<1x4xi8>
// CHECK:         %y_table_18 = ftensor.constant #y_table_18 : tensor<256xi32>
// CHECK-NEXT:    %y_71 = ftensor.lookup %x, %y_table_18 : tensor<1x4xi32>
// CHECK-NEXT:    %y_72 = ftensor.mul %y_70, %y_71 : tensor<1x4xi32>
// CHECK-NEXT:    %y_73 = ftensor.rescale %y_72, %y_multiplier_1, %y_shift {rounding = "floor"} : tensor<1x4xi8>
// CHECK-NEXT:    func.return %y_73 : tensor<1x4xi8>
// CHECK:       #y_table = #graph.blob<"5434979987f63e796128e17ce57cce9adbd7db579ad82a0c7c8a52e4db44638a">
// CHECK:       #y_table_1 = #graph.blob<"8ca504ec57260b49e1360c4e7d9cca33b0f91942b769df08d0c7db04e6c1773d">
// CHECK:       #y_table_2 = #graph.blob<"e5a5f5ee06d82bc91b93bce7d34d136b2d3fa46d338c911d8f50dc4451b2388f">
// CHECK:       #y_table_3 = #graph.blob<"bd47ce6e33e24fc5062d07253a836de4dfe48937f192447a2b2dc637c0fd28e0">
// CHECK:       #y_table_18 = #graph.blob<"b8841f1b0e6e59f290157290f6cff1c2725a02b8b3b09e76a171f9f0a421664c">
