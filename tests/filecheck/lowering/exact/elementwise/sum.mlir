// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// A weighted sum of any number of operands, rounded once.
//
// Factors of 1/2, 1/4 and 1/2 over 2^31, two additions, one rounding.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%a: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "a"}, %b: tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "b"}, %c: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "c"})
      -> tensor<1x8x!quant.uniform<i8:f32, 1.0>> {
    %y = graph.sum %a, %b, %c : tensor<1x8x!quant.uniform<i8:f32, 1.0>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 1.0>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y = ftensor.rescale %a, %y_multiplier, %y_shift {input_zp = 3, minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x8xi48>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (536870912)> : tensor<i32>
// CHECK-NEXT:    %y_1 = ftensor.rescale %b, %y_multiplier_1, %y_shift {input_zp = -5, minimum = -140737488355328, maximum = 140737488355327, rounding = "even"}
// CHECK-NEXT:    : tensor<1x8xi48>
// CHECK-NEXT:    %y_2 = ftensor.rescale %c, %y_multiplier, %y_shift {input_zp = 3, minimum = -140737488355328, maximum = 140737488355327, rounding = "even"}
// CHECK-NEXT:    : tensor<1x8xi48>
// CHECK-NEXT:    %y_3 = ftensor.add %y, %y_1 : tensor<1x8xi48>
// CHECK-NEXT:    %y_4 = ftensor.add %y_3, %y_2 : tensor<1x8xi48>
// CHECK-NEXT:    %y_multiplier_2 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %y_5 = ftensor.rescale %y_4, %y_multiplier_2, %y_shift_1 {rounding = "near_even"} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_5 : tensor<1x8xi8>
