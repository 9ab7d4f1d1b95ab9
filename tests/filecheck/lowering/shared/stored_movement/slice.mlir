// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// A window, with steps.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<2x6x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<2x2x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.slice %x {starts = array<i64: 0, 1>, ends = array<i64: 2, 5>, steps = array<i64: 1, 2>} : tensor<2x2x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<2x2x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.slice %x {starts = array<i64: 0, 1>, ends = array<i64: 2, 5>, steps = array<i64: 1, 2>} : tensor<2x2xi8>
// CHECK-NEXT:    func.return %y : tensor<2x2xi8>
