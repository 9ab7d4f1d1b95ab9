// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// (x - x_zp) * M + O in i48, one rounding; M and O for each channel, with a shift for both.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x2x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x4x!quant.uniform<i8:f32, 0.25:-5>> {
    %y = graph.affine %x {factor = #graph.blob<f64 [2, 1] (0.5, 2.0)>, offset = #graph.blob<f64 [2, 1] (1.0, -0.25)>} : tensor<1x2x4x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x2x4x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y = ftensor.rescale %x, %y_multiplier, %y_shift {input_zp = 3, minimum = -70368744177664, maximum = 70368744177664, rounding = "even"} : tensor<1x2x4xi48>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i64 [2, 1] (4294967296, -268435456)> : tensor<2x1xi48>
// CHECK-NEXT:    %y_1 = ftensor.add %y, %y_b : tensor<1x2x4xi48>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [2, 1] (30, 28)> : tensor<2x1xi8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier_1, %y_shift_1 {output_zp = -5, rounding = "near_even"} : tensor<1x2x4xi8>
// CHECK-NEXT:    func.return %y_2 : tensor<1x2x4xi8>
