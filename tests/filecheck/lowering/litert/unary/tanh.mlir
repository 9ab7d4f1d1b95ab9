// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// TANH.
//
// A table of what LiteRT's kernel computes of each of the 256 elements, in its own arithmetic.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.0078125>> {
    %y = graph.tanh %x : tensor<1x8x!quant.uniform<i8:f32, 0.0078125>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.0078125>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"8fb51f404ac21db9444a88435f862ae4c25b47dad0d664fb679cc10c2381ea7f">
