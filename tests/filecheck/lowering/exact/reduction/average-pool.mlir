// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The window's sum of differences over its count, which varies at the border.
//
// The count is 4 everywhere here: an integer division, so that real ties stay ties.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x2x4x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.average_pool %x {layout = "NCHW", kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reduce_window %x {kind = "sum", layout = "NCHW", window = array<i64: 2, 2>, strides = array<i64: 2, 2>, x_zp = 3} : tensor<1x2x2x2xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x2x2x2xi48>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i64 [] (4)> : tensor<i48>
// CHECK-NEXT:    %y_2 = ftensor.divide %y_1, %y_b {output_zp = 3} : tensor<1x2x2x2xi8>
// CHECK-NEXT:    func.return %y_2 : tensor<1x2x2x2xi8>
