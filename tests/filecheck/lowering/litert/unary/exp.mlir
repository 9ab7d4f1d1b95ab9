// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// EXP.
//
// A table of what LiteRT's kernel computes of each of the 256 elements, in its own arithmetic.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {
    %y = graph.exp %x : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"632db8172785d0809273f39e7383b73e8a1157b7ec3aa7c378b7c5e2e9ac7598">
