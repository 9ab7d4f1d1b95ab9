// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The greatest stored element, requantised if the scales differ.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x3x5x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> {
    %y = graph.reduce_max %x {axes = array<i64: 2>} : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> loc("y")
    func.return %y : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reduce %x {kind = "max", axes = array<i64: 2>} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y_1 = ftensor.lookup %y, %y_table : tensor<1x3x1xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x3x1xi8>
// CHECK:       #y_table = #graph.blob<"e51a1699f0cfa982cd79200d6447577beaa388180eb62104bda9695f162f64b2">
