// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// LOGISTIC.
//
// A table of what LiteRT's kernel computes of each of the 256 elements, in its own arithmetic.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.00390625:-128>> {
    %y = graph.sigmoid %x : tensor<1x8x!quant.uniform<i8:f32, 0.00390625:-128>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.00390625:-128>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"eeba882237af5b894343cea757ba36f3ebd290479ab6687eef6dcc0b8156577c">
