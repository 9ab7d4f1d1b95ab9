// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Q(max(a, 0)) + Q(min(a, 0) * slope): one of the two is 0.
//
// Two tables split x; the slopes' factors (0.5 * 0.5 / 0.25 = 1, and a half) are 2^30 over 2^30 and
// 2^31.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x2x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x4x!quant.uniform<i8:f32, 0.25:-5>> {
    %a = graph.constant #graph.blob<f32 [2, 1] (0.5, 0.25)> : tensor<2x1xf32>
    %y = graph.p_relu %x, %a : tensor<1x2x4x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x2x4x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi32>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x2x4xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [2, 1] (1073741824, 1073741824)> : tensor<2x1xi32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [2, 1] (30, 31)> : tensor<2x1xi8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {minimum = -1024, maximum = 1024, rounding = "near_even"} : tensor<1x2x4xi32>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_2 = ftensor.lookup %x, %y_table_1 : tensor<1x2x4xi32>
// CHECK-NEXT:    %y_3 = ftensor.add %y_2, %y_1 : tensor<1x2x4xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_4 = ftensor.rescale %y_3, %y_multiplier_1, %y_shift_1 {output_zp = -5, rounding = "floor"} : tensor<1x2x4xi8>
// CHECK-NEXT:    func.return %y_4 : tensor<1x2x4xi8>
// CHECK:       #y_table = #graph.blob<"0096561846c01792e475f4c8efad6edc742337e23364073595aa5bc1c9c7bf15">
// CHECK:       #y_table_1 = #graph.blob<"b92523b1d05a94bcbe76fceba9a0cdac2aaa29f6fd2ef10e07ee4bf2bc68cb1b">
