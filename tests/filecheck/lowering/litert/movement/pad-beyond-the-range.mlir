// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// What the result's type does not hold saturates.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x7x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.pad %x {pads = array<i64: 0, 1, 0, 2>, value = 1000.0} : tensor<1x7x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x7x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.pad %x {pads = array<i64: 0, 1, 0, 2>, value = 127} : tensor<1x7xi8>
