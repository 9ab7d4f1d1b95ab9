// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// (x - x_zp) * M + O in i48, one rounding; M and O for each channel, with a shift for both.
//
// Nothing is added: a rescale with each channel's factor, rounded once, ties to even.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x2x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x2x4x!quant.uniform<i8:f32, 0.25:-5>> {
    %y = graph.affine %x {factor = #graph.blob<f64 [2, 1] (0.5, 0.125)>, offset = #graph.blob<f64 [2, 1] (0.0)>} : tensor<1x2x4x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x2x4x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [2, 1] (30, 32)> : tensor<2x1xi8>
// CHECK-NEXT:    %y = ftensor.rescale %x, %y_multiplier, %y_shift {input_zp = 3, output_zp = -5, rounding = "near_even"} : tensor<1x2x4xi8>
// CHECK-NEXT:    func.return %y : tensor<1x2x4xi8>
