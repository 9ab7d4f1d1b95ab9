// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// ABS.
//
// A table of what LiteRT's kernel computes of each of the 256 elements, in its own arithmetic.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.abs %x : tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"2d0ca714e9c9bf89042556e239aa06466ee9be35a04c1437bb3914ecf4cae84d">
