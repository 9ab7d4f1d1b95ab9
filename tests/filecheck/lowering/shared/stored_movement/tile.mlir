// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Repetition of what has several elements is a gather.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<2x6x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<2x12x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.tile %x {repeats = array<i64: 1, 2>} : tensor<2x12x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<2x12x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.gather %x {axis = 1, indices = array<i64: 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5>} : tensor<2x12xi8>
// CHECK-NEXT:    func.return %y : tensor<2x12xi8>
