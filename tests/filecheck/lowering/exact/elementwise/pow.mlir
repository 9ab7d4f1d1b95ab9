// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Q(dequantised x to the exponent), looked up.
//
// A function of one 8-bit element has 256 results: all of it is one table, each entry rounded once.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {
    %e = graph.constant #graph.blob<f32 [] (2.0)> : tensor<f32>
    %y = graph.pow %x, %e : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"dfa709d004bd23098b56c47251954baff2392233bb3c8606af12d3c22430ffa7">
