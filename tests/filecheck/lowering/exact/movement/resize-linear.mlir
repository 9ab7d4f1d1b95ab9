// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Nearest: a gather along each axis. Linear: integer weights, one division at the end.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x1x2x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x1x4x4x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.resize %x {layout = "NCHW", mode = "linear", coordinates = "half_pixel", nearest_mode = "floor", sizes = array<i64: 4, 4>, scales = array<f64: 2.0, 2.0>} : tensor<1x1x4x4x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x1x4x4x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y = ftensor.rescale %x, %y_multiplier, %y_shift {input_zp = 3, minimum = -255, maximum = 255, rounding = "even"} : tensor<1x1x2x2xi32>
// CHECK-NEXT:    %y_1 = ftensor.interpolate %y {axis = 2, lower = array<i64: 0, 0, 0, 1>, upper = array<i64: 1, 1, 1, 1>, lower_weight = array<i64: 4, 3, 1, 4>,
// CHECK-NEXT:        upper_weight = array<i64: 0, 1, 3, 0>} : tensor<1x1x4x2xi48>
// CHECK-NEXT:    %y_2 = ftensor.interpolate %y_1 {axis = 3, lower = array<i64: 0, 0, 0, 1>, upper = array<i64: 1, 1, 1, 1>, lower_weight = array<i64: 4, 3, 1, 4>,
// CHECK-NEXT:        upper_weight = array<i64: 0, 1, 3, 0>} : tensor<1x1x4x4xi48>
// CHECK-NEXT:    %y_3 = ftensor.rescale %y_2, %y_multiplier, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x1x4x4xi48>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i64 [] (16)> : tensor<i48>
// CHECK-NEXT:    %y_4 = ftensor.divide %y_3, %y_b {output_zp = 3} : tensor<1x1x4x4xi8>
// CHECK-NEXT:    func.return %y_4 : tensor<1x1x4x4xi8>
