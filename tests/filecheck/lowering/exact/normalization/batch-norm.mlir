// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// An affine function of each channel.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.25:-5>> {
    %g = graph.constant #graph.blob<f32 [2] (1.0, 2.0)> : tensor<2xf32>
    %o = graph.constant #graph.blob<f32 [2] (0.5, -1.0)> : tensor<2xf32>
    %m = graph.constant #graph.blob<f32 [2] (0.25, 0.0)> : tensor<2xf32>
    %v = graph.constant #graph.blob<f32 [2] (4.0, 1.0)> : tensor<2xf32>
    %y = graph.batch_norm %x, %g, %o, %m, %v {epsilon = 0.0} : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y = ftensor.rescale %x, %y_multiplier, %y_shift {input_zp = 3, minimum = -70368744177664, maximum = 70368744177664, rounding = "even"}
// CHECK-NEXT:    : tensor<1x2x2x2xi48>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i64 [2, 1, 1] (1610612736, -1073741824)> : tensor<2x1x1xi48>
// CHECK-NEXT:    %y_1 = ftensor.add %y, %y_b : tensor<1x2x2x2xi48>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [2, 1, 1] (30, 28)> : tensor<2x1x1xi8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier_1, %y_shift_1 {output_zp = -5, rounding = "near_even"} : tensor<1x2x2x2xi8>
// CHECK-NEXT:    func.return %y_2 : tensor<1x2x2x2xi8>
