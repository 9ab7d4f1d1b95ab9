// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// RESIZE_NEAREST_NEIGHBOR, RESIZE_BILINEAR; both keep the quantisation.
//
// uint8 is interpolated in float32 there, which truncates; here, exact fractions with ties up.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x2x2x1x!quant.uniform<u8:f32, 0.5:131>> {graph.name = "x"})
      -> tensor<1x4x4x1x!quant.uniform<u8:f32, 0.5:131>> {
    %y = graph.resize %x {layout = "NHWC", mode = "linear", coordinates = "half_pixel", nearest_mode = "floor", sizes = array<i64: 4, 4>, scales = array<f64: 2.0, 2.0>} : tensor<1x4x4x1x!quant.uniform<u8:f32, 0.5:131>> loc("y")
    func.return %y : tensor<1x4x4x1x!quant.uniform<u8:f32, 0.5:131>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y = ftensor.rescale %x, %y_multiplier, %y_shift {input_zp = 3, minimum = -255, maximum = 255, rounding = "even"} : tensor<1x2x2x1xi32>
// CHECK-NEXT:    %y_1 = ftensor.interpolate %y {axis = 1, lower = array<i64: 0, 0, 0, 1>, upper = array<i64: 1, 1, 1, 1>, lower_weight = array<i64: 4, 3, 1, 4>,
// CHECK-NEXT:        upper_weight = array<i64: 0, 1, 3, 0>} : tensor<1x4x2x1xi48>
// CHECK-NEXT:    %y_2 = ftensor.interpolate %y_1 {axis = 2, lower = array<i64: 0, 0, 0, 1>, upper = array<i64: 1, 1, 1, 1>, lower_weight = array<i64: 4, 3, 1, 4>,
// CHECK-NEXT:        upper_weight = array<i64: 0, 1, 3, 0>} : tensor<1x4x4x1xi48>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (34)> : tensor<i8>
// CHECK-NEXT:    %y_3 = ftensor.rescale %y_2, %y_multiplier_1, %y_shift_1 {output_zp = 3, rounding = "up"} : tensor<1x4x4x1xi8>
// CHECK-NEXT:    func.return %y_3 : tensor<1x4x4x1xi8>
