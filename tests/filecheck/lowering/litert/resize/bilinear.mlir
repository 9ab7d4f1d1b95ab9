// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// RESIZE_NEAREST_NEIGHBOR, RESIZE_BILINEAR; both keep the quantisation.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x2x2x1x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x4x4x1x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.resize %x {layout = "NHWC", mode = "linear", coordinates = "half_pixel", nearest_mode = "floor", sizes = array<i64: 4, 4>, scales = array<f64: 2.0, 2.0>} : tensor<1x4x4x1x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x4x4x1x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.interpolate %x {axis = 1, lower = array<i64: 0, 0, 0, 1>, upper = array<i64: 0, 1, 1, 1>, lower_weight = array<i64: 1280, 768, 256, 768>,
// CHECK-NEXT:    upper_weight = array<i64: -256, 256, 768, 256>} : tensor<1x4x2x1xi32>
// CHECK-NEXT:    %y_1 = ftensor.interpolate %y {axis = 2, lower = array<i64: 0, 0, 0, 1>, upper = array<i64: 0, 1, 1, 1>, lower_weight = array<i64: 1280, 768, 256, 768>,
// CHECK-NEXT:    upper_weight = array<i64: -256, 256, 768, 256>} : tensor<1x4x4x1xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (20)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier, %y_shift {rounding = "away"} : tensor<1x4x4x1xi8>
// CHECK-NEXT:    func.return %y_2 : tensor<1x4x4x1xi8>
