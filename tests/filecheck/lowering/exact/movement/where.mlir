// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The choice between the operands under the result's scale.
//
// Two tables of the condition hold the greatest element or the least: what is not chosen becomes
// the least, and the greater of both is the result.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%c: tensor<1x8xi1> {graph.name = "c"}, %a: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "a"}, %b: tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "b"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.where %c, %a, %b : tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %b, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi8>
// CHECK-NEXT:    %y_1 = ftensor.lookup %c, %y_table_1 : tensor<1x8xi8>
// CHECK-NEXT:    %y_2 = ftensor.minimum %a, %y_1 : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_2 = ftensor.constant #y_table_2 : tensor<256xi8>
// CHECK-NEXT:    %y_3 = ftensor.lookup %c, %y_table_2 : tensor<1x8xi8>
// CHECK-NEXT:    %y_4 = ftensor.minimum %y, %y_3 : tensor<1x8xi8>
// CHECK-NEXT:    %y_5 = ftensor.maximum %y_2, %y_4 : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_5 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"f73cf9fdb3dd159506606cb6efeaea72c44800c99450d15d0c50843c600eb8d5">
// CHECK:       #y_table_1 = #graph.blob<"f876b7e3a701dda9915db627a14dcc786559fa8f38df44438f441abfd40376cf">
// CHECK:       #y_table_2 = #graph.blob<"a3e0bd4bf5d3a7e8764b9c8e9bebc82aa31a132ff64cf57d4a71d281bd8ba3d1">
