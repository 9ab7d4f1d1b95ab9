// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The stored result whose threshold the sum of squared differences reaches.
//
// No root is taken: the result is found bit by bit (128, 64, ... 1), each time comparing the sum
// with a threshold that a table has.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x3x5x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> {
    %y = graph.reduce_l2 %x {axes = [2]} : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> loc("y")
    func.return %y : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi48>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x3x5xi48>
// CHECK-NEXT:    %y_1 = ftensor.reduce %y {kind = "sum", axes = [2]} : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (0)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier, %y_shift {output_zp = -128, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_3 = ftensor.rescale %y_2, %y_multiplier_1, %y_shift {output_zp = 128, rounding = "floor"} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_4 = ftensor.lookup %y_3, %y_table_1 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_5 = ftensor.sub %y_1, %y_4 : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_6 = ftensor.rescale %y_5, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK:         %y_48 = ftensor.rescale %y_47, %y_multiplier_1, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_49 = ftensor.mul %y_48, %y_multiplier_1 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_50 = ftensor.add %y_44, %y_49 : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_51 = ftensor.rescale %y_50, %y_multiplier_1, %y_shift {rounding = "floor"} : tensor<1x3x1xi8>
// CHECK-NEXT:    func.return %y_51 : tensor<1x3x1xi8>
// CHECK:       #y_table = #graph.blob<"5434979987f63e796128e17ce57cce9adbd7db579ad82a0c7c8a52e4db44638a">
// CHECK:       #y_table_1 = #graph.blob<"adb2072e867c4f6fc444389300db27e4be29d31c5dfcef8f25f75c1579710a42">
