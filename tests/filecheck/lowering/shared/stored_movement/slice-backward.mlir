// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// No window runs backwards: a gather.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<2x6x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<2x6x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.slice %x {starts = array<i64: 0, 5>, ends = array<i64: 2, -1>, steps = array<i64: 1, -1>} : tensor<2x6x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<2x6x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.gather %x {axis = 1, indices = array<i64: 5, 4, 3, 2, 1, 0>} : tensor<2x6xi8>
// CHECK-NEXT:    func.return %y : tensor<2x6xi8>
