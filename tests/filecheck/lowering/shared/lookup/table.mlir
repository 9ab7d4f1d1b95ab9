// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The table as it is; stored uint8 in and out become int8 (entry order stays: 0..255).
//
// Its elements are all 7 here, which text has as one.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {
    %y = graph.table %x {table = #graph.blob<i8 [256] (7)>, function = "f(x)"} : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #graph.blob<i8 [256] (7)> : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
