// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The indices are constants.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<2x6x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<2x3x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.gather %x {axis = 1, indices = array<i64: 5, 0, 0>} : tensor<2x3x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<2x3x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.gather %x {axis = 1, indices = array<i64: 5, 0, 0>} : tensor<2x3xi8>
// CHECK-NEXT:    func.return %y : tensor<2x3xi8>
