// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// NEG.
//
// A table of what LiteRT's kernel computes of each of the 256 elements, in its own arithmetic.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.neg %x : tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"902d26e7c335059c13e86f92ad49b7964a2f4e166a40101d67ccf43a5155ca2f">
