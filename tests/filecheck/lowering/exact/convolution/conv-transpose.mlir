// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// A convolution over x spread by the strides, with the kernel mirrored.
//
// `input_dilation` puts zero differences between x's neighbours; [1, 2, 3, 4] becomes [4, 3, 2, 1].

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x1x2x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x1x4x4x!quant.uniform<i8:f32, 1.0>> {
    %w = graph.constant #graph.blob<i8 [1, 1, 2, 2] (1, 2, 3, 4)> : tensor<1x1x2x2x!quant.uniform<i8:f32, 0.25>>
    %y = graph.conv_transpose %x, %w {layout = "NCHW", kernel_layout = "IOHW", strides = array<i64: 2, 2>} : tensor<1x1x4x4x!quant.uniform<i8:f32, 1.0>> loc("y")
    func.return %y : tensor<1x1x4x4x!quant.uniform<i8:f32, 1.0>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_weight = ftensor.constant #graph.blob<i8 [1, 2, 2, 1] (4, 3, 2, 1)> : tensor<1x2x2x1xi8>
// CHECK-NEXT:    %y = ftensor.conv %x, %y_weight {layout = "NCHW", pads = array<i64: 1, 1, 1, 1>, input_dilation = array<i64: 2, 2>, x_zp = 3} : tensor<1x1x4x4xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (33)> : tensor<i8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {rounding = "near_even"} : tensor<1x1x4x4xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x1x4x4xi8>
