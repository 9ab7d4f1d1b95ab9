// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Accumulate in i32, then scale by x_scale * weight_scale / result_scale.
//
// The hardware convolves two dimensions: one more, of extent 1, around it.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x1x6x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x1x6x!quant.uniform<i8:f32, 1.0>> {
    %w = graph.constant #graph.blob<i8 [1, 1, 3] (1, 2, 3)> : tensor<1x1x3x!quant.uniform<i8:f32, 0.25>>
    %y = graph.conv %x, %w {layout = "NCW", kernel_layout = "OIW", pads = array<i64: 1, 1>} : tensor<1x1x6x!quant.uniform<i8:f32, 1.0>> loc("y")
    func.return %y : tensor<1x1x6x!quant.uniform<i8:f32, 1.0>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reshape %x : tensor<1x1x1x6xi8>
// CHECK-NEXT:    %y_weight = ftensor.constant #graph.blob<i8 [1, 1, 3, 1] (1, 2, 3)> : tensor<1x1x3x1xi8>
// CHECK-NEXT:    %y_1 = ftensor.conv %y, %y_weight {layout = "NCHW", pads = array<i64: 0, 1, 0, 1>, x_zp = 3} : tensor<1x1x1x6xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (33)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier, %y_shift {rounding = "near_even"} : tensor<1x1x1x6xi8>
// CHECK-NEXT:    %y_3 = ftensor.reshape %y_2 : tensor<1x1x6xi8>
// CHECK-NEXT:    func.return %y_3 : tensor<1x1x6xi8>
