// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Q(clip(x)) = clamp(Q(x), Q(minimum), Q(maximum)): quantising is monotone.
//
// A function of one 8-bit element has 256 results: all of it is one table, each entry rounded once.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {
    %y = graph.clip %x {minimum = 0.0, maximum = 6.0} : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"83a8555e7e6e5883a9cfa8177274bd049ead4f5e7bd7c72e77e772f250302fb4">
