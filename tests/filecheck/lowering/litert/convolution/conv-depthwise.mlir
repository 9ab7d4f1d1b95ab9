// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// CONV_2D, DEPTHWISE_CONV_2D: accumulate in i32, then a factor a channel, rounding twice.
//
// TFLite's depthwise weights are [1, H, W, C]; the contraction's are OHWI.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.25:-5>> {
    %w = graph.constant #graph.blob<i8 [1, 1, 1, 2] (3, -4)> : tensor<1x1x1x2x!quant.uniform<i8:f32:3, {0.5, 0.25}>>
    %y = graph.conv %x, %w {layout = "NHWC", kernel_layout = "IHWO", group = 2} : tensor<1x4x4x2x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x4x4x2x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_weight = ftensor.constant #graph.blob<i8 [2, 1, 1, 1] (3, -4)> : tensor<2x1x1x1xi8>
// CHECK-NEXT:    %y = ftensor.conv %x, %y_weight {layout = "NHWC", group = 2, x_zp = 3} : tensor<1x4x4x2xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [1, 1, 1, 2] (1073741824, 1073741824)> : tensor<1x1x1x2xi32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [1, 1, 1, 2] (30, 31)> : tensor<1x1x1x2xi8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {output_zp = -5, rounding = "double"} : tensor<1x4x4x2xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x4x4x2xi8>
