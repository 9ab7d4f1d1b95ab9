// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Q(f(dequantised x)), looked up: of every function that declares nothing else.
//
// A function of one 8-bit element has 256 results: all of it is one table, each entry rounded once.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {
    %y = graph.leaky_relu %x {alpha = 0.25} : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"120755e10ff16ef1e50dc9c64a97901651cbec9b8213d3c1bd13717933e4d5ca">
