// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// CONV_2D, DEPTHWISE_CONV_2D: accumulate in i32, then a factor a channel, rounding twice.
//
// uint8 data is held as int8, its top bit flipped: zero points and weights are 128 less.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x4x4x2x!quant.uniform<u8:f32, 0.5:131>> {graph.name = "x"})
      -> tensor<1x4x4x1x!quant.uniform<u8:f32, 1.0:100>> {
    %w = graph.constant #graph.blob<ui8 [1, 1, 1, 2] (3, 250)> : tensor<1x1x1x2x!quant.uniform<u8:f32, 0.25:120>>
    %y = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<1x4x4x1x!quant.uniform<u8:f32, 1.0:100>> loc("y")
    func.return %y : tensor<1x4x4x1x!quant.uniform<u8:f32, 1.0:100>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_weight = ftensor.constant #graph.blob<i8 [1, 1, 1, 2] (-125, 122)> : tensor<1x1x1x2xi8>
// CHECK-NEXT:    %y = ftensor.conv %x, %y_weight {layout = "NHWC", x_zp = 3, weight_zp = -8} : tensor<1x4x4x1xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (33)> : tensor<i8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {output_zp = -28, rounding = "double"} : tensor<1x4x4x1xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x4x4x1xi8>
