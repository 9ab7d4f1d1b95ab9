// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// CONCATENATION: operands of another quantisation go through a table first.
//
// Only uint8 has them (``ConcatenationWithScaling``, in float32); LiteRT refuses them in int8.
//
// %a has the result's quantisation already.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%a: tensor<1x2x!quant.uniform<u8:f32, 0.5:131>> {graph.name = "a"}, %b: tensor<1x3x!quant.uniform<u8:f32, 0.25:123>> {graph.name = "b"})
      -> tensor<1x5x!quant.uniform<u8:f32, 0.5:131>> {
    %y = graph.concat %a, %b {axis = 1} : tensor<1x5x!quant.uniform<u8:f32, 0.5:131>> loc("y")
    func.return %y : tensor<1x5x!quant.uniform<u8:f32, 0.5:131>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %b, %y_table : tensor<1x3xi8>
// CHECK-NEXT:    %y_1 = ftensor.concat %a, %y {axis = 1} : tensor<1x5xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x5xi8>
// CHECK:       #y_table = #graph.blob<"827f8e33d3a780730dbacaf242a6cf54abbadc91434757eda4d2f362293cca3e">
