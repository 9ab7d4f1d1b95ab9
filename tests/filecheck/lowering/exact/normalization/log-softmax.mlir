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
// CHECK:         %y = ftensor.reduce %x {kind = "max", axes = [1]} : tensor<1x1xi8>
// CHECK-NEXT:    %y_1 = ftensor.sub %x, %y : tensor<1x8xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier, %y_shift {output_zp = 127, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table = ftensor.constant #y_table : tensor<256xi48>
// CHECK-NEXT:    %y_3 = ftensor.lookup %y_2, %y_table : tensor<1x8xi48>
// CHECK-NEXT:    %y_4 = ftensor.reduce %y_3 {kind = "sum", axes = [1]} : tensor<1x1xi48>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_5 = ftensor.lookup %y_2, %y_table_1 : tensor<1x8xi32>
// CHECK-NEXT:    %y_table_2 = ftensor.constant #y_table_2 : tensor<256xi32>
// CHECK-NEXT:    %y_6 = ftensor.lookup %y_2, %y_table_2 : tensor<1x8xi32>
// CHECK:         %y_85 = ftensor.rescale %y_84, %y_multiplier, %y_shift {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_86 = ftensor.mul %y_85, %y_multiplier : tensor<1x8xi32>
// CHECK-NEXT:    %y_87 = ftensor.add %y_77, %y_86 : tensor<1x8xi32>
// CHECK-NEXT:    %y_88 = ftensor.rescale %y_87, %y_multiplier, %y_shift {rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_88 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"601fab498915aeba2d507f5e7fc9bc371350a0db0fd9afc4f25d658a99a2f900">
// CHECK:       #y_table_1 = #graph.blob<"48e78e8cc3c41a97ac4b02bd3bccedfd612091e97caf085c3d87ad8bae9d47f1">
// CHECK:       #y_table_2 = #graph.blob<"779f01051bcb9a60eda6b19b4cc9704b32e5d24aefdec9d6220aed92bb0f923a">
// CHECK:       #y_table_3 = #graph.blob<"02b3b0fad4faeb4c42d222d98dadd9d49a12f671a3aa59e7cfeb09ea67858626">
// CHECK:       #y_table_4 = #graph.blob<"99a58ddb89c4da80373a05b8ee5e1ba746bf1350a3b7d4fbb1507a02dac8d4fe">
