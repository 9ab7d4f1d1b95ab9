// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// A weighted difference, rounded once.
//
// The second factor is negative; there is no subtraction.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%a: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "a"}, %b: tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "b"})
      -> tensor<1x8x!quant.uniform<i8:f32, 1.0:7>> {
    %y = graph.sub %a, %b : tensor<1x8x!quant.uniform<i8:f32, 1.0:7>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 1.0:7>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y = ftensor.rescale %a, %y_multiplier, %y_shift {input_zp = 3, minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x8xi48>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (-536870912)> : tensor<i32>
// CHECK-NEXT:    %y_1 = ftensor.rescale %b, %y_multiplier_1, %y_shift {input_zp = -5, minimum = -140737488355328, maximum = 140737488355327, rounding = "even"}
// CHECK-NEXT:    : tensor<1x8xi48>
// CHECK-NEXT:    %y_2 = ftensor.add %y, %y_1 : tensor<1x8xi48>
// CHECK-NEXT:    %y_multiplier_2 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %y_3 = ftensor.rescale %y_2, %y_multiplier_2, %y_shift_1 {output_zp = 7, rounding = "near_even"} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_3 : tensor<1x8xi8>
