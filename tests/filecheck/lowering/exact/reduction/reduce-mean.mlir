// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The sum of differences over the count.
//
// An integer division by five, as no factor is a fifth: real ties stay ties.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x3x5x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x3x1x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.reduce_mean %x {axes = array<i64: 2>} : tensor<1x3x1x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x3x1x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reduce %x {kind = "sum", axes = array<i64: 2>, x_zp = 3} : tensor<1x3x1xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_1 = ftensor.rescale %y, %y_multiplier, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i64 [] (5)> : tensor<i48>
// CHECK-NEXT:    %y_2 = ftensor.divide %y_1, %y_b {output_zp = 3} : tensor<1x3x1xi8>
// CHECK-NEXT:    func.return %y_2 : tensor<1x3x1xi8>
