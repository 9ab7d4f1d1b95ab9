// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// CONV_2D on ruy; DEPTHWISE_CONV_2D, whose int8 kernel takes eight channels at once.
//
// CONV_2D in groups and DEPTHWISE_CONV_2D of uint8 round as the reference kernels do.
//
// One rounding, ties up; the reference's rounds twice.

builtin.module attributes {graph.source = "tflite", graph.kernels = "optimized"} {
  func.func @main(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.25:-5>> {
    %w = graph.constant #graph.blob<i8 [2, 1, 1, 2] (1, 2, 3, 4)> : tensor<2x1x1x2x!quant.uniform<i8:f32:0, {0.5, 0.25}>>
    %b = graph.constant #graph.blob<i32 [2] (10, -20)> : tensor<2x!quant.uniform<i32:f32:0, {0.25, 0.125}>>
    %y = graph.conv %x, %w, %b {layout = "NHWC", kernel_layout = "OHWI"} : tensor<1x4x4x2x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x4x4x2x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_weight = ftensor.constant #graph.blob<i8 [2, 1, 1, 2] (1, 2, 3, 4)> : tensor<2x1x1x2xi8>
// CHECK-NEXT:    %y_bias = ftensor.constant #graph.blob<i32 [2] (10, -20)> : tensor<2xi32>
// CHECK-NEXT:    %y = ftensor.conv %x, %y_weight, %y_bias {layout = "NHWC", x_zp = 3} : tensor<1x4x4x2xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [1, 1, 1, 2] (1073741824, 1073741824)> : tensor<1x1x1x2xi32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [1, 1, 1, 2] (30, 31)> : tensor<1x1x1x2xi8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {output_zp = -5, rounding = "up"} : tensor<1x4x4x2xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x4x4x2xi8>
