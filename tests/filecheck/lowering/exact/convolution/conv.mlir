// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Accumulate in i32, then scale by x_scale * weight_scale / result_scale.
//
// The channels' factors are 0.5 * 0.5 / 0.25 = 1 and a half: 2^30 over 2^30 and over 2^31. Weights
// become OHWI; the contraction subtracts x's zero point.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x2x4x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x4x4x!quant.uniform<i8:f32, 0.25:-5>> {
    %w = graph.constant #graph.blob<i8 [2, 2, 1, 1] (1, 2, 3, 4)> : tensor<2x2x1x1x!quant.uniform<i8:f32:0, {0.5, 0.25}>>
    %b = graph.constant #graph.blob<i32 [2] (10, -20)> : tensor<2x!quant.uniform<i32:f32:0, {0.25, 0.125}>>
    %y = graph.conv %x, %w, %b {layout = "NCHW", kernel_layout = "OIHW"} : tensor<1x2x4x4x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x2x4x4x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_weight = ftensor.constant #graph.blob<i8 [2, 1, 1, 2] (1, 2, 3, 4)> : tensor<2x1x1x2xi8>
// CHECK-NEXT:    %y_bias = ftensor.constant #graph.blob<i32 [2] (10, -20)> : tensor<2xi32>
// CHECK-NEXT:    %y = ftensor.conv %x, %y_weight, %y_bias {layout = "NCHW", x_zp = 3} : tensor<1x2x4x4xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [1, 2, 1, 1] (1073741824, 1073741824)> : tensor<1x2x1x1xi32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [1, 2, 1, 1] (30, 31)> : tensor<1x2x1x1xi8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {output_zp = -5, rounding = "near_even"} : tensor<1x2x4x4xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x2x4x4xi8>
