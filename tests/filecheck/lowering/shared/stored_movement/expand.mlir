// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Dimensions of extent 1 are repeated.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<2x6x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<3x2x6x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.expand %x : tensor<3x2x6x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<3x2x6x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.broadcast %x : tensor<3x2x6xi8>
// CHECK-NEXT:    func.return %y : tensor<3x2x6xi8>
