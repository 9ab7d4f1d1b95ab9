// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Stored integers in another order.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<2x6x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<6x2x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.transpose %x {perm = array<i64: 1, 0>} : tensor<6x2x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<6x2x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.transpose %x {perm = array<i64: 1, 0>} : tensor<6x2xi8>
// CHECK-NEXT:    func.return %y : tensor<6x2xi8>
