// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// PRELU: one factor where a >= 0, another of the product with the slope elsewhere.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x2x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x2x!quant.uniform<i8:f32, 0.25:-5>> {
    %a = graph.constant #graph.blob<i8 [1, 1, 2] (1, 2)> : tensor<1x1x2x!quant.uniform<i8:f32, 0.25>>
    %y = graph.p_relu %x, %a : tensor<1x2x2x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x2x2x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi32>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x2x2xi32>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_1 = ftensor.lookup %x, %y_table_1 : tensor<1x2x2xi32>
// CHECK-NEXT:    %y_x = ftensor.constant #graph.blob<i8 [1, 1, 2] (1, 2)> : tensor<1x1x2xi8>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_x, %y_multiplier, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1x2xi32>
// CHECK-NEXT:    %y_3 = ftensor.mul %y_1, %y_2 : tensor<1x2x2xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %y_4 = ftensor.rescale %y_3, %y_multiplier_1, %y_shift_1 {minimum = -2147483648, maximum = 2147483647, rounding = "double"} : tensor<1x2x2xi32>
// CHECK-NEXT:    %y_5 = ftensor.add %y, %y_4 : tensor<1x2x2xi32>
// CHECK-NEXT:    %y_6 = ftensor.rescale %y_5, %y_multiplier, %y_shift {output_zp = -5, rounding = "floor"} : tensor<1x2x2xi8>
// CHECK-NEXT:    func.return %y_6 : tensor<1x2x2xi8>
// CHECK:       #y_table = #graph.blob<"f2167a0b9e5eb00f9926e13a3e3ed83fa3314cfbad64f2b32eb77b4f15846608">
// CHECK:       #y_table_1 = #graph.blob<"0096561846c01792e475f4c8efad6edc742337e23364073595aa5bc1c9c7bf15">
