// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// max(x * 2**k + rank) mod 2**k, the rank of the index that wins a tie being the greatest.
//
// k bits hold the extent of the axis. Stored elements are compared (ArgMin: their negatives), for
// dequantising is monotone. The rank is the index, or what it lacks to 2**k - 1.
//
// k is 2: four indices. What wins a tie is the first, so ranks count down; the index is what the
// rank lacks to 3.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x1xi64> {
    %y = graph.arg_max %x {axis = 1} : tensor<1x1xi64> loc("y")
    func.return %y : tensor<1x1xi64>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_multiplier = ftensor.constant #graph.blob<i32 [] (4)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y = ftensor.rescale %x, %y_multiplier, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x4xi32>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i32 [1, 4] (3, 2, 1, 0)> : tensor<1x4xi32>
// CHECK-NEXT:    %y_1 = ftensor.add %y, %y_b : tensor<1x4xi32>
// CHECK-NEXT:    %y_2 = ftensor.reduce %y_1 {kind = "max", axes = array<i64: 1>} : tensor<1x1xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (2)> : tensor<i8>
// CHECK-NEXT:    %y_3 = ftensor.rescale %y_2, %y_multiplier_1, %y_shift_1 {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_4 = ftensor.rescale %y_3, %y_multiplier, %y_shift {output_zp = 3, minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_5 = ftensor.sub %y_4, %y_2 : tensor<1x1xi48>
// CHECK-NEXT:    func.return %y_5 : tensor<1x1xi48>
