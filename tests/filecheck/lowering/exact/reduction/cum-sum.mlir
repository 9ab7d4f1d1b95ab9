// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The product with a triangle of ones, rescaled.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x3x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x3x!quant.uniform<i8:f32, 1.0>> {
    %y = graph.cum_sum %x {axis = 1} : tensor<1x3x!quant.uniform<i8:f32, 1.0>> loc("y")
    func.return %y : tensor<1x3x!quant.uniform<i8:f32, 1.0>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.transpose %x {perm = array<i64: 0, 1>} : tensor<1x3xi8>
// CHECK-NEXT:    %y_1 = ftensor.reshape %y : tensor<1x3xi8>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i8 [3, 3] (1, 1, 1, 0, 1, 1, 0, 0, 1)> : tensor<3x3xi8>
// CHECK-NEXT:    %y_2 = ftensor.matmul %y_1, %y_b {a_zp = 3} : tensor<1x3xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %y_3 = ftensor.rescale %y_2, %y_multiplier, %y_shift {rounding = "near_even"} : tensor<1x3xi8>
// CHECK-NEXT:    %y_4 = ftensor.reshape %y_3 : tensor<1x3xi8>
// CHECK-NEXT:    %y_5 = ftensor.transpose %y_4 {perm = array<i64: 0, 1>} : tensor<1x3xi8>
// CHECK-NEXT:    func.return %y_5 : tensor<1x3xi8>
