// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Accumulate in i32, then scale by x_scale * weight_scale / result_scale.
//
// Padding counts as x's zero point, so nothing is padded in front.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x1x4x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x1x2x2x!quant.uniform<i8:f32, 1.0:9>> {
    %w = graph.constant #graph.blob<i8 [1, 1, 3, 3] (1, 2, 3, 4, 5, 6, 7, 8, 9)> : tensor<1x1x3x3x!quant.uniform<i8:f32, 0.25>>
    %y = graph.conv %x, %w {layout = "NCHW", kernel_layout = "OIHW", strides = array<i64: 2, 2>, pads = array<i64: 1, 1, 0, 0>} : tensor<1x1x2x2x!quant.uniform<i8:f32, 1.0:9>> loc("y")
    func.return %y : tensor<1x1x2x2x!quant.uniform<i8:f32, 1.0:9>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_weight = ftensor.constant #graph.blob<i8 [1, 3, 3, 1] (1, 2, 3, 4, 5, 6, 7, 8, 9)> : tensor<1x3x3x1xi8>
// CHECK-NEXT:    %y = ftensor.conv %x, %y_weight {layout = "NCHW", strides = array<i64: 2, 2>, pads = array<i64: 1, 1, 0, 0>, x_zp = 3} : tensor<1x1x2x2xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (33)> : tensor<i8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {output_zp = 9, rounding = "near_even"} : tensor<1x1x2x2xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x1x2x2xi8>
