// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// CONV_2D on ruy; DEPTHWISE_CONV_2D, whose int8 kernel takes eight channels at once.
//
// CONV_2D in groups and DEPTHWISE_CONV_2D of uint8 round as the reference kernels do.
//
// Nine channels with factors below 1: eight round ties up (`up`), the ninth twice.

builtin.module attributes {graph.source = "tflite", graph.kernels = "optimized"} {
  func.func @main(%x: tensor<1x2x2x9x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x2x9x!quant.uniform<i8:f32, 0.25:-5>> {
    %w = graph.constant #graph.blob<i8 [1, 1, 1, 9] (1, 2, 3, 4, 5, 6, 7, 8, 9)> : tensor<1x1x1x9x!quant.uniform<i8:f32, 0.125>>
    %y = graph.conv %x, %w {layout = "NHWC", kernel_layout = "IHWO", group = 9} : tensor<1x2x2x9x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x2x2x9x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_weight = ftensor.constant #graph.blob<i8 [9, 1, 1, 1] (1, 2, 3, 4, 5, 6, 7, 8, 9)> : tensor<9x1x1x1xi8>
// CHECK-NEXT:    %y = ftensor.conv %x, %y_weight {layout = "NHWC", group = 9, x_zp = 3} : tensor<1x2x2x9xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x2x2x9xi32>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (1)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier_1, %y_shift_1 {output_zp = -5, rounding = "up"} : tensor<1x2x2x9xi8>
// CHECK-NEXT:    %y_shift_2 = ftensor.constant #graph.blob<i8 [] (32)> : tensor<i8>
// CHECK-NEXT:    %y_3 = ftensor.rescale %y, %y_multiplier, %y_shift_2 {output_zp = -5, rounding = "double"} : tensor<1x2x2x9xi8>
// CHECK-NEXT:    %y_4 = ftensor.slice %y_2 {starts = array<i64: 0, 0, 0, 0>, ends = array<i64: 1, 2, 2, 8>} : tensor<1x2x2x8xi8>
// CHECK-NEXT:    %y_5 = ftensor.slice %y_3 {starts = array<i64: 0, 0, 0, 8>, ends = array<i64: 1, 2, 2, 9>} : tensor<1x2x2x1xi8>
// CHECK-NEXT:    %y_6 = ftensor.concat %y_4, %y_5 {axis = 3} : tensor<1x2x2x9xi8>
// CHECK-NEXT:    func.return %y_6 : tensor<1x2x2x9xi8>
