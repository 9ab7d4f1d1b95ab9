// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The window's sum of differences over its count, which varies at the border.
//
// Volumes: each plane's sums, then those of the planes in a window gathered and added.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x2x4x4x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x2x2x2x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.average_pool %x {layout = "NCDHW", kernel_shape = array<i64: 2, 2, 2>, strides = array<i64: 2, 2, 2>} : tensor<1x2x2x2x2x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x2x2x2x2x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reshape %x : tensor<1x8x4x4xi8>
// CHECK-NEXT:    %y_1 = ftensor.reduce_window %y {kind = "sum", layout = "NCHW", window = array<i64: 2, 2>, strides = array<i64: 2, 2>, x_zp = 3} : tensor<1x8x2x2xi32>
// CHECK-NEXT:    %y_2 = ftensor.reshape %y_1 : tensor<1x2x4x4xi32>
// CHECK-NEXT:    %y_3 = ftensor.pad %y_2 {pads = array<i64: 0, 0, 0, 0, 0, 0, 0, 0>, value = 0} : tensor<1x2x4x4xi32>
// CHECK-NEXT:    %y_4 = ftensor.gather %y_3 {axis = 2, indices = array<i64: 0, 1, 2, 3>} : tensor<1x2x4x4xi32>
// CHECK-NEXT:    %y_5 = ftensor.reshape %y_4 : tensor<1x4x2x4xi32>
// CHECK-NEXT:    %y_6 = ftensor.reduce %y_5 {kind = "sum", axes = array<i64: 2>} : tensor<1x4x1x4xi32>
// CHECK-NEXT:    %y_7 = ftensor.reshape %y_6 : tensor<1x2x2x4xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_8 = ftensor.rescale %y_7, %y_multiplier, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x2x2x4xi48>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i64 [] (8)> : tensor<i48>
// CHECK-NEXT:    %y_9 = ftensor.divide %y_8, %y_b {output_zp = 3} : tensor<1x2x2x4xi8>
// CHECK-NEXT:    %y_10 = ftensor.reshape %y_9 : tensor<1x2x2x2x2xi8>
// CHECK-NEXT:    func.return %y_10 : tensor<1x2x2x2x2xi8>
