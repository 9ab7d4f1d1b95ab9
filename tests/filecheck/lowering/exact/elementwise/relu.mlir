// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Q(max(x, 0)) = max(Q(x), Q(0)): quantising is monotone.
//
// A function of one 8-bit element has 256 results: all of it is one table, each entry rounded once.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {
    %y = graph.relu %x : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"6952aa969be7170dfcff7106f7c4584b7507190f67ca7d3144408c3b74ee5a5c">
