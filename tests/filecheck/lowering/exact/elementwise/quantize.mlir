// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Requantisation: a table.
//
// A function of one 8-bit element has 256 results: all of it is one table, each entry rounded once.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {
    %y = graph.quantize %x : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"225b7e1663db734e5a72738b16587241dbbd621c5e35d2794ad70a4f8dc4dd80">
